"""What ends is started again, later each time; what runs is left alone."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.hosting import child
from metaplatform.hosting.child import Service, bearing
from metaplatform.hosting.code_server_watch import CodeServerWatch
from metaplatform.hosting.serving_record import MARK, ServingRecord, end_leftovers
from metaplatform.hosting.supervision import Supervisor, pause_before

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


@contextmanager
def running(*command: str, **options: Any) -> Iterator["subprocess.Popen[Any]"]:
    """Yield a process that is killed at the end, also where a claim has failed: a sleeper would be waited for."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    started = Supervisor(logs=tmp_path / "logs", environment={}, grace_seconds=5)
    yield started
    started.stop()


def sleeper(folder: Path, name: str = "tiny") -> Service:
    return Service(name, SLEEPER, folder, "", "")


def test_a_long_log_is_turned_while_the_server_goes_on_writing(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_LONGEST_LOG", 1000)
    talker = "import time\nfor n in range(10**6):\n  print(f'line {n:06}', flush=True); time.sleep(0.001)"
    supervisor.add([Service("tiny", (sys.executable, "-c", talker), tmp_path, "", "")], time.monotonic())
    log, former = tmp_path / "logs" / "tiny.log", tmp_path / "logs" / "tiny.log.1"
    turned = 0

    def turn() -> bool:
        nonlocal turned
        before = former.stat().st_mtime_ns if former.exists() else 0
        supervisor.look(time.monotonic())
        turned += former.exists() and former.stat().st_mtime_ns > before
        return turned >= 3

    until(turn)
    until(lambda: log.stat().st_size > 0)
    assert log.stat().st_size < 100_000
    assert log.read_text().startswith("line "), "no hole is left at the beginning"


@given(st.integers(1, 100))
def test_pauses_grow_and_are_never_longer_than_a_minute(failures: int) -> None:
    assert 1 <= pause_before(failures) <= pause_before(failures + 1) <= 60


def test_a_server_that_is_killed_is_started_again_and_the_others_are_left_alone(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    supervisor.add([sleeper(tmp_path), sleeper(tmp_path, "other")], 0)
    first, other = (supervised.child.process for supervised in supervisor.running)
    assert supervisor.look(1) == []
    first.kill()
    first.wait()
    [told] = supervisor.look(2)
    assert told.startswith("tiny was ended by signal 9; it is started again in 1 s. Its log: ")
    assert supervisor.look(2.5) == []
    assert supervisor.look(3) == ["tiny is started again."]
    again, same = (supervised.child.process for supervised in supervisor.running)
    assert again.pid != first.pid
    assert again.poll() is None
    assert same is other
    assert other.poll() is None


def test_a_server_that_ends_again_and_again_is_started_later_each_time_until_it_was_steady(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    ending = Service("tiny", (sys.executable, "-c", "raise SystemExit(3)"), tmp_path, "", "")
    supervisor.add([ending], 0)
    now, pauses = 0.0, []
    for steady in (1, 1, 1, 1000):
        supervisor.running[0].child.process.wait(30)
        now += steady
        [told] = supervisor.look(now)
        assert told.startswith("tiny ended with exit code 3; ")
        pauses.append(float(told.split(" in ")[1].split(" s. ")[0]))
        now += pauses[-1]
        assert len(supervisor.look(now)) == 1
    assert pauses == [1, 2, 4, 1]


PROXY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "api", "grpc"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("seen", [True, False], ids=["seen_before", "gone_before_the_first_look"])
def test_a_proxy_is_bereft_once_its_code_server_is_gone_for_longer_than_a_reload(*, seen: bool) -> None:
    with running(sys.executable, "-c", PROXY, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        server = psutil.Process(int(proxy.stdout.readline()))
        # A process that has just begun has no command line yet.
        until(lambda: "grpc" in server.cmdline())
        watch = CodeServerWatch()
        if seen:
            assert not watch.bereft(proxy.pid, 0, lambda: True)
        server.kill()
        # Its parent sleeps and never asks how it ended.
        until(lambda: server.status() == psutil.STATUS_ZOMBIE)
        assert [watch.bereft(proxy.pid, now, lambda: True) for now in (5, 14, 14.5, 16)] == [False, False, False, True]


def test_a_proxy_that_does_not_answer_yet_is_not_bereft() -> None:
    watch = CodeServerWatch()
    assert not any(watch.bereft(os.getpid(), now, lambda: False) for now in range(0, 100, 5))


LEAVES_A_CHILD = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
                  "print(1, flush=True); time.sleep(600)"], start_new_session=True)
time.sleep(0 if sys.argv[1:] else 600)
"""


def test_what_a_killed_ui_left_behind_is_ended_and_nothing_else(tmp_path: Path) -> None:
    """Its record names a process that is gone; what bears its mark is ended, deaf grandchildren too."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone.wait()
    mark = f"test-{os.getpid()}-{time.monotonic_ns()}"
    ServingRecord(gone.pid, time.time(), mark).write(tmp_path)
    marked = {**os.environ, MARK: mark}
    with (
        running(sys.executable, "-c", LEAVES_A_CHILD, "and ends", env=marked, stdout=subprocess.PIPE) as left,
        running(*SLEEPER, env={**os.environ, MARK: "another"}) as other,
    ):
        assert left.stdout is not None
        left.stdout.readline()
        left.wait(30)
        assert len(bearing(MARK, mark)) == 1
        told: list[str] = []
        end_leftovers(tmp_path, 0.3, told.append)
        assert told == ["Ending 1 processes that a killed `metaplatform ui` left behind"]
        assert bearing(MARK, mark) == []
        assert other.poll() is None
        assert ServingRecord.read(tmp_path) is None


def test_what_a_living_ui_runs_is_left_alone(tmp_path: Path) -> None:
    mark = f"test-{os.getpid()}-{time.monotonic_ns()}"
    with running(*SLEEPER, env={**os.environ, MARK: mark}) as child:
        ServingRecord.of_this_process(mark, ("unix:/somewhere",)).write(tmp_path)
        end_leftovers(tmp_path, 0.1, print)
        assert child.poll() is None
        assert ServingRecord.read(tmp_path) == ServingRecord.of_this_process(mark, ("unix:/somewhere",))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x", "started": 1, "mark": "", "code_servers": []}'])
def test_a_damaged_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "ui.json").write_text(text)
    assert ServingRecord.read(tmp_path) is None

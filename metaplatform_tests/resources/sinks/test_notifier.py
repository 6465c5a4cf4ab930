"""Messages: one line in a file for each event, or through Apprise to a real local server."""

import json
import logging
import multiprocessing
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from metaplatform.errors import StorageError
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.resources.sinks.outbox import Outbox
from metaplatform.specs.entities.families import NotificationSpec
from metaplatform.specs.entities.notifications import AppriseNotification, FileNotification
from metaplatform.specs.records.messages import Message

FILE = FileNotification(kind="file")
APPRISE = AppriseNotification(kind="apprise", url_env="ALERT_URL")
NOW = datetime(2013, 7, 1, tzinfo=UTC)


def message(message_id: str, *, at: datetime = NOW) -> Message:
    return Message(
        message_id=message_id,
        subject="reactions.alert",
        title="3 rows",
        body="Look.",
        facts={"rows": 3},
        links={"run": "/runs/r1"},
        created_at=at,
    )


def send(notifier: Notifier, *, event_id: str, spec: NotificationSpec = FILE) -> None:
    notifier.send(message(event_id), spec)


def lines(root: Path) -> list[dict[str, object]]:
    path = root / "notifications" / "alert.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class TestAFile:
    def test_gets_one_line_for_each_event(self, tmp_path: Path):
        notifier = Notifier(root=str(tmp_path))
        for event in ("e1", "e2", "e1"):
            send(notifier, event_id=event)
        assert [line["event_id"] for line in lines(tmp_path)] == ["e1", "e2"]
        assert lines(tmp_path)[0] == {
            "event_id": "e1",
            "subject": "reactions.alert",
            "title": "3 rows",
            "body": "Look.",
            "facts": {"rows": 3},
            "links": {"run": "/runs/r1"},
            "created_at": "2013-07-01T00:00:00Z",
        }

    def test_with_half_a_line_of_a_killed_writer_goes_on_below_it(self, tmp_path: Path):
        notifier = Notifier(root=str(tmp_path))
        send(notifier, event_id="e1")
        path = tmp_path / "notifications" / "alert.jsonl"
        path.write_bytes(path.read_bytes() + b'{"event_id": "e2", "rea')
        send(notifier, event_id="e2")
        assert [json.loads(line)["event_id"] for line in path.read_text().splitlines() if line.endswith("}")] == [
            "e1",
            "e2",
        ]

    def test_takes_lines_of_many_writers_each_whole_and_once(self, tmp_path: Path):
        notifier = Notifier(root=str(tmp_path))
        threads = [
            threading.Thread(target=lambda: [send(notifier, event_id=f"e{number}") for number in range(20)])
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(str(line["event_id"]) for line in lines(tmp_path)) == sorted(f"e{number}" for number in range(20))

    def test_that_cannot_be_written_is_a_storage_error(self, tmp_path: Path):
        (tmp_path / "notifications").write_text("a file where a folder should be")
        with pytest.raises(StorageError, match="space and rights"):
            send(Notifier(root=str(tmp_path)), event_id="e1")


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(200 if "ok" in self.path else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Receiver) as server:
        server.received = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# Apprise imports what Python 3.13 drops.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
class TestApprise:
    def test_delivers_the_message_with_its_facts(self, server: HTTPServer, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("ALERT_URL", f"json://127.0.0.1:{server.server_port}/ok")
        send(Notifier(root="unused", public_url="https://loop.example"), event_id="e1", spec=APPRISE)
        (received,) = server.received  # type: ignore[attr-defined]
        assert received["title"] == "3 rows"
        assert received["message"].startswith("Look.")
        for told in ("rows: 3", "id: e1", "run: https://loop.example/runs/r1"):
            assert told in received["message"]

    @pytest.mark.parametrize(
        ("path", "fix"),
        [
            ("json://127.0.0.1:{port}/hunter2", "did not take the message"),
            ("json://user:hunter2@127.0.0.1:1/", "did not take the message"),
            ("nonsense://hunter2", "is not a valid Apprise URL"),
            ("hunter2", "is not a valid Apprise URL"),
        ],
    )
    def test_never_tells_the_url(
        self, server: HTTPServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str, fix: str
    ):
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv("ALERT_URL", path.format(port=server.server_port))
        with pytest.raises(StorageError, match=fix) as raised:
            send(Notifier(root="unused"), event_id="e1", spec=APPRISE)
        chain = [raised.value, raised.value.__cause__, raised.value.__context__]
        assert "hunter2" not in caplog.text + "".join(map(str, chain))
        assert "ALERT_URL" in str(raised.value)

    def test_without_its_environment_variable_says_which(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("ALERT_URL", raising=False)
        with pytest.raises(StorageError, match=r"reactions\.alert: environment variable ALERT_URL is not set"):
            send(Notifier(root="unused"), event_id="e1", spec=APPRISE)


class TestTheOutbox:
    """What was said reaches its channel, whatever happens on the way."""

    def test_keeps_a_message_once_for_each_channel_and_sends_it_once(self, tmp_path: Path):
        notifier = Notifier(root=str(tmp_path))
        assert [notifier.tell(message("e1"), [FILE]) for _ in range(2)] == [True, False]
        assert (notifier.deliver(NOW), notifier.deliver(NOW)) == ([], [])
        assert not notifier.tell(message("e1"), [FILE])
        assert [line["event_id"] for line in lines(tmp_path)] == ["e1"]
        assert (notifier.told("e1"), notifier.told("e2")) == (True, False)

    @pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
    def test_asks_a_silent_channel_again_later_and_later_and_the_others_meanwhile(
        self, tmp_path: Path, server: HTTPServer, monkeypatch: pytest.MonkeyPatch
    ):
        notifier = Notifier(root=str(tmp_path))
        monkeypatch.setenv("ALERT_URL", f"json://127.0.0.1:{server.server_port}/down")
        notifier.tell(message("e1"), [APPRISE, FILE])
        notifier.tell(message("e2", at=NOW + timedelta(seconds=1)), [APPRISE])
        moment, waits = NOW, []
        for _ in range(6):
            late = notifier.deliver(moment)[0]
            assert late.message.message_id == "e1"
            assert "did not take the message" in late.reason
            waits.append((late.next_at - moment) / timedelta(minutes=1))
            again = [waiting.message.message_id for _ in range(2) for waiting in notifier.deliver(moment)]
            assert "e1" not in again, "it is not asked again at once"
            moment = late.next_at
        assert waits == [1, 5, 25, 125, 360, 360]
        assert [line["event_id"] for line in lines(tmp_path)] == ["e1"]
        monkeypatch.setenv("ALERT_URL", f"json://127.0.0.1:{server.server_port}/ok")
        server.received.clear()  # type: ignore[attr-defined]
        assert notifier.deliver(moment + timedelta(hours=6)) == []
        told = [received["message"] for received in server.received]  # type: ignore[attr-defined]
        assert ["id: e1" in told[0], "id: e2" in told[1]] == [True, True]

    def test_sends_again_what_a_killed_process_may_have_sent(self, tmp_path: Path):
        notifier = Notifier(root=str(tmp_path))
        notifier.tell(message("e1"), [FILE])

        def dies(_: object) -> str:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Outbox(tmp_path).sending(NOW, dies)
        assert notifier.deliver(NOW) == []
        assert [line["event_id"] for line in lines(tmp_path)] == ["e1"]

    def test_takes_messages_of_many_at_once_each_once(self, tmp_path: Path):
        notifier = Notifier(root=str(tmp_path))
        new: list[bool] = []
        threads = [
            threading.Thread(target=lambda: new.extend(notifier.tell(message(f"e{n}"), [FILE]) for n in range(10)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            notifier.deliver(NOW)
        notifier.deliver(NOW)
        assert sum(new) == 10
        assert sorted(str(line["event_id"]) for line in lines(tmp_path)) == sorted(f"e{n}" for n in range(10))

    def test_with_a_damaged_file_says_which_and_sends_the_rest(self, tmp_path: Path):
        notifier = Notifier(root=str(tmp_path))
        notifier.tell(message("e1"), [FILE])
        (tmp_path / "outbox" / "pending" / "a-1.json").write_text("{")
        with pytest.raises(StorageError, match=r"a-1\.json.*remove the file"):
            notifier.deliver(NOW)
        assert [line["event_id"] for line in lines(tmp_path)] == ["e1"]

    @pytest.mark.parametrize("empty", ["", " \n"])
    def test_takes_no_message_that_says_nothing(self, empty: str):
        with pytest.raises(ValueError, match="body"):
            Message(message_id="e1", subject="book", title="x", body=empty, created_at=NOW)


def test_apprise_is_imported_only_when_something_goes_through_it():
    script = "import sys; import metaplatform.resources.sinks.notifier; sys.exit('apprise' in sys.modules)"
    process = multiprocessing.get_context("spawn").Process(target=exec, args=(script,))
    process.start()
    process.join(timeout=120)
    assert process.exitcode == 0

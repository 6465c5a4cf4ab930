"""Messages: one line in a file for each event, or through Apprise to a real local server."""

import json
import logging
import multiprocessing
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from metaplatform.errors import StorageError
from metaplatform.resources.notifier import Notifier
from metaplatform.specs.reactions import AppriseNotification, FileNotification

FILE = FileNotification(kind="file")
APPRISE = AppriseNotification(kind="apprise", url_env="ALERT_URL")


def send(notifier: Notifier, *, event_id: str, spec: FileNotification | AppriseNotification = FILE) -> bool:
    data = {"rows": 3, "at": datetime(2013, 7, 1, tzinfo=UTC)}
    return notifier.send(spec, reaction="alert", title="3 rows", body="Look.", data=data, event_id=event_id)


def lines(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / "notifications" / "alert.jsonl").read_text().splitlines()]


class TestAFile:
    def test_gets_one_line_for_each_event(self, tmp_path: Path):
        notifier = Notifier(root=str(tmp_path))
        assert [send(notifier, event_id=event) for event in ("e1", "e2", "e1")] == [True, True, False]
        assert [line["event_id"] for line in lines(tmp_path)] == ["e1", "e2"]
        assert lines(tmp_path)[0] == {
            "event_id": "e1",
            "reaction": "alert",
            "title": "3 rows",
            "body": "Look.",
            "data": {"rows": 3, "at": "2013-07-01 00:00:00+00:00"},
        }

    def test_with_half_a_line_of_a_killed_writer_goes_on_below_it(self, tmp_path: Path):
        notifier = Notifier(root=str(tmp_path))
        send(notifier, event_id="e1")
        path = tmp_path / "notifications" / "alert.jsonl"
        path.write_bytes(path.read_bytes() + b'{"event_id": "e2", "rea')
        assert send(notifier, event_id="e2")
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
        assert send(Notifier(root="unused"), event_id="e1", spec=APPRISE)
        (received,) = server.received  # type: ignore[attr-defined]
        assert received["title"] == "3 rows"
        assert received["message"].startswith("Look.")
        assert "rows: 3" in received["message"]

    @pytest.mark.parametrize(
        ("path", "fix"),
        [
            ("json://127.0.0.1:{port}/hunter2", "did not take the message"),
            ("json://user:hunter2@127.0.0.1:1/", "did not take the message"),
            ("nonsense://hunter2", "is no Apprise URL"),
            ("hunter2", "is no Apprise URL"),
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


def test_apprise_is_imported_only_when_something_goes_through_it():
    script = "import sys; import metaplatform.resources.notifier; sys.exit('apprise' in sys.modules)"
    process = multiprocessing.get_context("spawn").Process(target=exec, args=(script,))
    process.start()
    process.join(timeout=120)
    assert process.exitcode == 0

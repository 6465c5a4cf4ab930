"""Serves the reports folder to browsers on this machine: read-only, and the pages cannot call out."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

LOOPBACK = "127.0.0.1"

# Reports are one file each, with their scripts, styles and fonts inside; anything else they ask for is refused.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; worker-src blob:; connect-src 'none'; form-action 'none'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_HOSTS = {LOOPBACK, "localhost"}


class _ReportHandler(SimpleHTTPRequestHandler):
    """GET and HEAD of files below one folder; whatever lies outside it is not found."""

    server_version = "reports"
    sys_version = ""

    def send_head(self) -> BytesIO | BinaryIO | None:
        """Refuse foreign host names (DNS rebinding) and paths that leave the folder, links included."""
        if self.headers.get("Host", "").partition(":")[0] not in _HOSTS:
            self.send_error(HTTPStatus.FORBIDDEN, "Ask by 127.0.0.1 or localhost")
            return None
        if not self._is_inside():
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")
            return None
        return super().send_head()

    def _is_inside(self) -> bool:
        try:
            return Path(self.translate_path(self.path)).resolve().is_relative_to(self.directory)
        except (OSError, ValueError):  # A null byte, or a name longer than any file's.
            return False

    def end_headers(self) -> None:
        """Add the headers that keep a page to itself."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Say nothing: what a browser asks for is not news."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that goes away in the middle of a page is not news."""


@contextmanager
def report_server(folder: Path, *, port: int) -> Iterator[str]:
    """Serve ``folder`` (made if absent) on 127.0.0.1 while the context is open; yield its address.

    Port 0 takes any free one.

    Raises:
        OSError: if the port is in use.
    """
    home = folder.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with _Server((LOOPBACK, port), partial(_ReportHandler, directory=str(home))) as server:
        thread = threading.Thread(target=server.serve_forever, name="reports", daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def main(folder: str, port: str) -> None:
    """Serve ``folder`` until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    with report_server(Path(folder), port=int(port)):
        stop.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])

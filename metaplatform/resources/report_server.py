"""Serves the reports folder to browsers on this machine: read-only, and the pages cannot call out."""

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
        if not Path(self.translate_path(self.path)).resolve().is_relative_to(self.directory):
            self.send_error(HTTPStatus.NOT_FOUND, "File not found")
            return None
        return super().send_head()

    def end_headers(self) -> None:
        """Add the headers that keep a page to itself."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Say nothing: what a browser asks for is no news."""


@contextmanager
def report_server(folder: Path, *, port: int) -> Iterator[str]:
    """Serve ``folder`` (made if absent) on 127.0.0.1 while the context is open; yield its address.

    Port 0 takes any free one.

    Raises:
        OSError: if the port is in use.
    """
    home = folder.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with ThreadingHTTPServer((LOOPBACK, port), partial(_ReportHandler, directory=str(home))) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="reports", daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

"""Every request goes over a real socket."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from metaplatform.hosting.report_server import report_server

PAGE = "<html><script>1</script></html>"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "reports"
    (folder / "drift").mkdir(parents=True)
    (folder / "drift" / "april.html").write_text(PAGE)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "reports-old").mkdir()
    (tmp_path / "reports-old" / "page.html").write_text("old")
    (folder / "outside").symlink_to(tmp_path)
    with report_server(folder, port=0) as url:
        yield url


def ask(address: str, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.putrequest(method, path, skip_host=host is not None)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body, dict(response.headers)


def test_a_report_is_served_with_headers_that_keep_it_from_calling_out(address: str) -> None:
    status, body, headers = ask(address, "/drift/april.html")
    assert (status, body) == (200, PAGE)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "form-action 'none'" in policy
    assert "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_head_says_what_get_would_say(address: str) -> None:
    status, body, headers = ask(address, "/drift/april.html", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, "", str(len(PAGE)))


def test_a_folder_lists_its_reports(address: str) -> None:
    status, body, _ = ask(address, "/drift/")
    assert status == 200
    assert "april.html" in body


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/%2e%2e/secret.txt", "/drift/../../secret.txt", "/outside/secret.txt", "/outside/",
     "/../reports-old/page.html", "//etc/passwd", "/..%2fsecret.txt", "/..%5csecret.txt", "/nothing.html",
     "/%00", "/drift/%00april.html", f"/{'x' * 5000}"],
)  # fmt: skip
def test_nothing_outside_the_folder_is_found(address: str, path: str) -> None:
    status, body, _ = ask(address, path)
    assert status == 404
    assert "secret\n" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_get_and_head_are_answered(address: str, method: str) -> None:
    assert ask(address, "/drift/april.html", method)[0] == 501


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8001", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_name_is_refused(address: str, host: str) -> None:
    assert ask(address, "/drift/april.html", host=host)[0] == 403


def test_it_listens_on_loopback_alone_and_frees_the_port_at_the_end(tmp_path: Path) -> None:
    with report_server(tmp_path / "reports", port=0) as url:
        port = urlsplit(url).port
        listening = [c.laddr for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN]
        assert [each.ip for each in listening if each.port == port] == ["127.0.0.1"]
    with report_server(tmp_path / "reports", port=port or 0) as again:
        assert again == url


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    with report_server(tmp_path, port=0) as url, pytest.raises(OSError, match="in use"):
        report_server(tmp_path, port=urlsplit(url).port or 0).__enter__()

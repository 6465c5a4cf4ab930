"""The guards of Dagster's webserver, asked over ASGI: whose questions are answered, and where links lead."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from starlette.types import ASGIApp

from metaplatform.hosting.web_server import LOCAL_HOSTS, Webserver
from metaplatform.resources.process.dagster_home import write_dagster_home
from metaplatform.specs.book.deployment import MLFLOW_LINK, REPORTS_LINK

OURS = "http://127.0.0.1:3000"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Browser:
    app: ASGIApp

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask("GET", path, b"", headers)

    def post(self, path: str, query: str, **headers: str) -> Answer:
        return self._ask("POST", path, json.dumps({"query": query}).encode(), headers)

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        sent = self.send({"type": "http", "method": method}, path, {"type": "http.request", "body": body}, headers)
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))

    def send(self, kind: dict[str, Any], path: str, message: dict[str, Any], headers: dict[str, str]) -> list[Any]:
        given = {"host": "127.0.0.1:3000", "content-type": "application/json", **headers}
        place, _, query = path.partition("?")
        scope = {
            **kind,
            "scheme": "http",
            "path": place.replace("%20", " "),
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "subprotocols": ["graphql-ws"],
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return message

        async def keep(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, keep))  # type: ignore[arg-type]
        return sent


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    home = write_dagster_home(tmp_path_factory.mktemp("dagster"))
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        WorkspaceProcessContext(instance, workspace_load_target=EmptyWorkspaceTarget()) as context,
    ):
        hosts = (*LOCAL_HOSTS, "ml.example.org")
        yield Browser(Webserver(context, hosts, {MLFLOW_LINK: 5001, REPORTS_LINK: 8002}).create_asgi_app())


def test_pages_of_our_own_are_answered(browser: Browser) -> None:
    assert browser.get("/server_info").status == 200
    assert json.loads(browser.post("/graphql", "{__typename}", origin=OURS).body)["data"]["__typename"] == "Query"
    public = {"origin": "https://ml.example.org", "host": "ml.example.org"}
    assert browser.post("/graphql", "{version}", **public).status == 200
    assert browser.get("/graphql", accept="text/html").status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "10.0.0.1"])
def test_a_foreign_host_is_refused(browser: Browser, host: str) -> None:
    """A name that somebody else lets lead here (DNS rebinding)."""
    for path in ("/", "/server_info", "/reports/a.html", "/graphql"):
        assert browser.get(path, host=host).status == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example", "https://10.0.0.1"])
def test_what_another_sites_page_asks_is_refused(browser: Browser, origin: str) -> None:
    assert browser.post("/graphql", "mutation { reloadWorkspace { __typename } }", origin=origin).status == 403
    assert browser.post("/report_asset_materialization/x", "", origin=origin).status == 403
    sent = browser.send({"type": "websocket"}, "/graphql", {"type": "websocket.connect"}, {"origin": origin})
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1008)]


@pytest.mark.parametrize("path", ["/graphql", "/graphql/"])
@pytest.mark.parametrize("parameter", ["query", "%71uery"])
def test_a_query_by_get_is_refused(browser: Browser, path: str, parameter: str) -> None:
    """An image of another site's page asks without an Origin."""
    assert browser.get(f"{path}?{parameter}=mutation%7BreloadWorkspace%7B__typename%7D%7D").status == 405


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/reports/orders/2024-01.html", "http://127.0.0.1:8002/orders/2024-01.html"),
        ("/reports/a%20b.html?x=1", "http://127.0.0.1:8002/a%20b.html?x=1"),
        ("/mlflow/", "http://127.0.0.1:5001/"),
        ("/reports//evil.example/x", "http://127.0.0.1:8002//evil.example/x"),
    ],
)
def test_links_lead_to_where_the_servers_are_now(browser: Browser, asked: str, led: str) -> None:
    answer = browser.get(asked)
    assert answer.status == 307
    assert answer.headers["location"] == led


def test_links_lead_to_the_host_that_was_asked(browser: Browser) -> None:
    answer = browser.get("/reports/x.html", host="localhost:3000")
    assert answer.headers["location"] == "http://localhost:8002/x.html"

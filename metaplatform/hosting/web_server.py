"""Dagster's webserver, guarded: it answers its own pages alone, and leads to MLflow and the reports.

Dagster's has no accounts, takes mutations by GET, and answers whatever name it is asked by: any page in a browser
on this machine could start runs. Its pages link to ``/reports/…`` and ``/mlflow/…``; where those servers are now is
known here, so that a link that was kept for years leads there still.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.version import __version__
from dagster_webserver.webserver import DagsterWebserver
from starlette.datastructures import Headers, QueryParams
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from metaplatform.hosting.services import LOOPBACK
from metaplatform.resources.process.dagster_instance import instance_ref
from metaplatform.specs.book.deployment import MLFLOW_LINK, REPORTS_LINK

LOCAL_HOSTS = (LOOPBACK, "localhost")
_FOREIGN = 1008
"""WebSocket's code of a connection that breaks a policy."""
_STATEMENT_MILLISECONDS, _CONNECTION_SECONDS, _MOST_CONNECTIONS = 15_000, 3600, 20
"""Of PostgreSQL: how long a query may take, how old a connection gets, how many there are beside the first."""


class OwnPagesOnly:
    """Refuses what another site's page asks (its ``Origin`` is not one of ours), and queries by GET."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """Guard ``app``; ``hosts`` are the names that our pages are reached by."""
        self._app, self._hosts = app, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or 405 in the place of ``app``, or let it answer."""
        headers = Headers(scope=scope) if scope["type"] in {"http", "websocket"} else Headers()
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).hostname not in self._hosts:
            refusal = WebSocketClose(_FOREIGN) if scope["type"] == "websocket" else PlainTextResponse("Foreign", 403)
            await refusal(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} and _is_query(scope):
            # The one request that another site's page can make without an Origin.
            await PlainTextResponse("Ask /graphql by POST", 405)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class Webserver(DagsterWebserver[WorkspaceProcessContext, WorkspaceRequestContext]):
    """Dagster's app with our guards before it, and our redirects beside its pages.

    ``hosts`` are the names it may be asked by; ``places`` gives the port behind each link.
    """

    def __init__(self, context: WorkspaceProcessContext, hosts: Sequence[str], places: dict[str, int]) -> None:
        self._hosts, self._places = tuple(hosts), places
        super().__init__(context)

    def build_middleware(self) -> list[Middleware]:
        """Return Dagster's, behind ours."""
        return [
            Middleware(TrustedHostMiddleware, allowed_hosts=list(self._hosts), www_redirect=False),
            Middleware(OwnPagesOnly, hosts=self._hosts),
            *super().build_middleware(),
        ]

    def build_routes(self) -> list[BaseRoute]:
        """Return Dagster's, behind ours: its last route takes every path."""
        return [*(Route(f"{link}/{{path:path}}", self._lead) for link in self._places), *super().build_routes()]  # type: ignore[no-untyped-call]

    async def _lead(self, request: Request) -> RedirectResponse:
        """Lead to the same path of another server of this machine; a browser keeps the part behind ``#``."""
        link = f"/{request.url.path.split('/', 2)[1]}"
        target = request.url.replace(
            scheme="http",
            netloc=f"{request.url.hostname}:{self._places[link]}",
            path=request.url.path.removeprefix(link),
        )
        return RedirectResponse(str(target))


def main(workspace: str, dagster: str, mlflow: str, reports: str, public_url: str) -> None:
    """Serve on loopback until SIGINT or SIGTERM."""
    public = urlsplit(public_url).hostname
    hosts = (*LOCAL_HOSTS, public) if public else LOCAL_HOSTS
    target = WorkspaceFileTarget([workspace])
    with (
        DagsterInstance.from_ref(instance_ref(Path(os.environ["DAGSTER_HOME"]))) as instance,
        WorkspaceProcessContext(instance, version=__version__, workspace_load_target=target) as context,
    ):
        # Connections are kept, as Dagster's own command does: SQLite has none to keep.
        instance.optimize_for_webserver(_STATEMENT_MILLISECONDS, _CONNECTION_SECONDS, _MOST_CONNECTIONS)
        app = Webserver(context, hosts, {MLFLOW_LINK: int(mlflow), REPORTS_LINK: int(reports)}).create_asgi_app()
        uvicorn.run(app, host=LOOPBACK, port=int(dagster), log_level="warning")


def _is_query(scope: Scope) -> bool:
    return scope["path"].rstrip("/") == "/graphql" and "query" in QueryParams(scope["query_string"])


if __name__ == "__main__":
    main(*sys.argv[1:])

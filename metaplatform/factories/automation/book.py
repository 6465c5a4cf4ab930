"""The sensor of a book in a database: a sound edit is accepted and reloaded, an unsound one refused with an alert."""

import logging
import threading
from collections.abc import Sequence

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin

from metaplatform.errors import Issue, MetaplatformError
from metaplatform.resources.deployed_book import DeployedBook
from metaplatform.resources.notifier import Notifier
from metaplatform.specs.reactions import FileNotification

_RELOAD_SECONDS = 180
_ISSUES_IN_A_NOTE = 20


def book_sensor(loaded: str, interval_seconds: int) -> dg.SensorDefinition:
    """Return the sensor ``book``; ``loaded`` is the hash of the snapshot that this code server was built from."""
    reload = _Reload()

    @dg.sensor(
        name="book",
        description="Look at the book's database; take a sound edit, refuse an unsound one and say why.",
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def evaluate(context: dg.SensorEvaluationContext, book: DeployedBook, notifier: Notifier) -> dg.SkipReason:
        try:
            found = book.look()
        except MetaplatformError as error:
            return dg.SkipReason(f"the last good book {loaded} runs on: {error}")
        notes = []
        if found.refused:
            _alert(notifier, found.hash, found.refused)
            notes.append(f"edit {found.hash} is refused, book {found.accepted} runs on:\n{_told(found.refused)}")
        if found.accepted != loaded:
            notes.append(f"book {found.accepted} is accepted; {reload.ask(context)}")
        return dg.SkipReason("\n".join(notes) or f"book {loaded} is the database's")

    return evaluate


def _alert(notifier: Notifier, book_hash: str, issues: Sequence[Issue]) -> None:
    """Tell people once: the file keeps each event's id, so a restart tells nothing twice."""
    notifier.send(
        FileNotification(kind="file"),
        reaction="book",
        title="An edit of the book is refused; the last good book runs on",
        body=_told(issues),
        data={"hash": book_hash, "entities": sorted({issue.owner for issue in issues})},
        event_id=f"refused-{book_hash}",
    )


def _told(issues: Sequence[Issue]) -> str:
    lines = [str(issue) for issue in issues[:_ISSUES_IN_A_NOTE]]
    more = len(issues) - len(lines)
    return "\n".join((*lines, f"and {more} more") if more > 0 else lines)


class _Reload:
    """Asks the code server to start anew, once at a time."""

    def __init__(self) -> None:
        self._asking: threading.Thread | None = None

    def ask(self, context: dg.SensorEvaluationContext) -> str:
        """Ask, where a code server can be asked, and say what happens; elsewhere the daemon makes new ones itself."""
        origin = context.code_location_origin
        if not isinstance(origin, GrpcServerCodeLocationOrigin):
            return "the daemon's next code server, within a minute, is built from it"
        if self._asking is None or not self._asking.is_alive():
            # Not waited for: this look is answered by the very server that is replaced.
            self._asking = threading.Thread(target=_reload_code, args=(origin,), daemon=True)
            self._asking.start()
        return "the code server starts anew with it"


def _reload_code(origin: GrpcServerCodeLocationOrigin) -> None:
    try:
        origin.create_client().reload_code(_RELOAD_SECONDS)
    except DagsterUserCodeUnreachableError as error:
        logging.getLogger(__name__).warning("the code server did not start anew, the next look asks again: %s", error)

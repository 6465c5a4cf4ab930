"""The sensor of the book's source: a sound edit reaches the code server, an unsound one is refused with an alert."""

import logging
import threading
from datetime import datetime

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin

from metaplatform.errors import MetaplatformError
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.resources.book.book_source import BookLook, BookSource, ServedBook, refusal
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.specs.entities.notifications import FileNotification
from metaplatform.specs.records.messages import Message

_RELOAD_SECONDS = 180
_REFUSED_SECONDS = 30
"""A refused edit is a failed tick, and those are kept for long: so few of them at least."""

_SHORT = 12


def book_sensor(
    source: BookSource, served: ServedBook, interval_seconds: int, mount: Mount = STANDALONE
) -> dg.SensorDefinition:
    """Return the sensor ``book`` of a code server that was built from what ``source`` has ``served``.

    What a database holds is taken as soon as it is sound. Files may be in the middle of an edit: they are taken when
    the code location is reloaded, or by themselves if they were what could not be loaded.
    """
    reload = _Reload()

    @dg.sensor(
        name=mount.named("book"),
        description="Look at the book's source; take a sound edit, refuse an unsound one and say why.",
        minimum_interval_seconds=max(interval_seconds, _REFUSED_SECONDS) if served.refused else interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys=mount.all_named("notifier", "clock"),
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        try:
            found = source.look()
        except MetaplatformError as error:
            return dg.SkipReason(f"the last good book {served.content[:_SHORT]} runs on: {error}")
        behind = found.accepted is not None and (found.accepted != served.content or bool(served.refused))
        if not behind:
            told = f"book {served.content[:_SHORT]} is that of its source"
        elif not source.takes_edits and not served.refused:
            told = f"the files hold another sound book: {_taken(context)}"
        else:
            told = f"book {found.content[:_SHORT]} is accepted; {reload.ask(context)}"
        if found.refused:
            refused = refusal(found.refused, served.since, served.manifest.timezone)
            _alert(mount.resource(context, "notifier"), found, refused, mount.resource(context, "clock").now())
            raise refused
        return dg.SkipReason(told)

    return evaluate


def _alert(notifier: Notifier, found: BookLook, refused: MetaplatformError, now: datetime) -> None:
    """Tell people once: the outbox knows each message's id, so a restart tells nothing twice."""
    message = Message(
        message_id=f"refused-{found.content}",
        subject="book",
        title="An edit of the book is refused; the last good book runs on",
        body=refused.culprit,
        facts={"hash": found.content, "entities": ", ".join(sorted({issue.owner for issue in found.refused}))},
        created_at=now,
    )
    notifier.tell(message, [FileNotification(kind="file")])


def _taken(context: dg.SensorEvaluationContext) -> str:
    if isinstance(context.code_location_origin, GrpcServerCodeLocationOrigin):
        return "reload the code location to take it"
    return "the daemon's next code server, within a minute, is built from it"


class _Reload:
    """Asks the code server to restart, once at a time."""

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
        return "the code server restarts with it"


def _reload_code(origin: GrpcServerCodeLocationOrigin) -> None:
    try:
        origin.create_client().reload_code(_RELOAD_SECONDS)
    except DagsterUserCodeUnreachableError as error:
        logging.getLogger(__name__).warning("the code server did not restart, the next tick asks again: %s", error)

"""Messages to people and other systems: put into the outbox, and sent to a file or to whatever Apprise reaches."""

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from metaplatform import places
from metaplatform.errors import MetaplatformError, StorageError
from metaplatform.extensions import WorkByKind
from metaplatform.naming import ref_name
from metaplatform.resources.delta.delta_tables import storage_root
from metaplatform.resources.sinks.outbox import Outbox, Waiting
from metaplatform.specs.entities.families import NotificationSpec
from metaplatform.specs.entities.notifications import AppriseNotification, FileNotification
from metaplatform.specs.records.messages import Message

_LONGEST_DELIVERY_SECONDS = 20
"""A look of the loop must end: what is not asked by then is asked at the next."""


class Notifier(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Sends messages from the outbox below the storage folder ``root``; those of kind ``file`` stay there.

    ``public_url`` is the address of Dagster's page, with which links begin.
    """

    root: str
    public_url: str = ""

    def tell(self, message: Message, channels: Sequence[NotificationSpec]) -> bool:
        """Put a message into the outbox for ``channels``; tell whether it is new. Again, it changes nothing.

        Raises:
            StorageError: if it cannot be kept.
        """
        return self._outbox.put(message, channels)

    def told(self, message_id: str) -> bool:
        """Tell whether a message of this id has been put into the outbox."""
        return self._outbox.has(message_id)

    def deliver(self, now: datetime) -> list[Waiting]:
        """Send what is due, in order; return what its channel did not take. That is tried again later.

        Raises:
            StorageError: if the outbox is damaged.
        """
        until = time.monotonic() + _LONGEST_DELIVERY_SECONDS
        silent: set[NotificationSpec] = set()

        def send(waiting: Waiting) -> str | None:
            if waiting.channel in silent or time.monotonic() > until:
                return None
            try:
                self.send(waiting.message, waiting.channel)
            except MetaplatformError as error:
                silent.add(waiting.channel)
                return str(error)
            return ""

        return self._outbox.sending(now, send)

    def send(self, message: Message, channel: NotificationSpec) -> None:
        """Send one message now; a file that has it already is left as it is.

        Raises:
            StorageError: if it cannot be delivered. Neither it nor anything else tells Apprise's URL.
        """
        SENDERS.of(channel.kind)(self, message, channel)

    def text_of(self, message: Message) -> str:
        """Return a message as text: what it says, then links, facts and its id."""
        links = [f"{name}: {self.public_url.rstrip('/')}{path}" for name, path in message.links.items()]
        facts = [f"{name}: {value}" for name, value in message.facts.items()]
        blocks = ([message.body], links, [*facts, f"id: {message.message_id}"])
        return "\n\n".join("\n".join(block) for block in blocks if block)

    @property
    def _outbox(self) -> Outbox:
        return Outbox(storage_root(self.root))


def _to_file(notifier: Notifier, message: Message, channel: FileNotification) -> None:
    del channel
    path = storage_root(notifier.root) / places.NOTIFICATIONS / f"{ref_name(message.subject)}.jsonl"
    values = message.model_dump(mode="json", exclude={"message_id"})
    _append_once(path, message.message_id, json.dumps({"event_id": message.message_id, **values}))


def _through_apprise(notifier: Notifier, message: Message, channel: AppriseNotification) -> None:
    _send_through_apprise(channel.url_env, message.title, notifier.text_of(message), owner=message.subject)


SENDERS: WorkByKind[Callable[[Notifier, Message, Any], None]] = WorkByKind(
    "notifications", {"file": _to_file, "apprise": _through_apprise}
)
"""What sends a message, by the kind of its channel; what the channel does not take is raised as a StorageError."""


def _append_once(path: Path, event_id: str, line: str) -> None:
    """Append ``line`` unless one with its ``event_id`` is there; other processes wait meanwhile."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            written = file.read()
            if any(_event_id(old) == event_id for old in written.splitlines()):
                return
            # A writer killed within its line left no line end: the next line must not join it.
            start = b"\n" if written and not written.endswith(b"\n") else b""
            os.write(file.fileno(), start + line.encode() + b"\n")
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(
            owner=path.name, culprit=str(error), fix="check the storage root's space and rights"
        ) from error


def _event_id(line: bytes) -> object:
    try:
        return json.loads(line)["event_id"]
    except (ValueError, KeyError, TypeError):
        return None


def _send_through_apprise(variable: str, title: str, body: str, *, owner: str) -> None:
    import apprise

    url = os.environ.get(variable, "")
    if not url:
        raise StorageError(
            owner=owner, culprit=f"environment variable {variable} is not set", fix=f"set {variable} to an Apprise URL"
        )
    channel = apprise.Apprise()
    with _silenced("apprise", "urllib3.connectionpool"):
        try:
            known = bool(channel.add(url))
            delivered = known and bool(channel.notify(title=title, body=body))
        except Exception:  # noqa: BLE001 - whatever it is, its text may hold the URL
            known, delivered = True, False
    if not known:
        raise StorageError(
            owner=owner,
            culprit=f"the value of {variable} is not a valid Apprise URL",
            fix="see Apprise's list of services",
        )
    if not delivered:
        raise StorageError(
            owner=owner,
            culprit=f"the service behind {variable} did not take the message",
            fix="check it; the message is sent again later",
        )


@contextmanager
def _silenced(*loggers: str) -> Iterator[None]:
    """Keep libraries from logging the URL, which holds the secret."""
    before = {name: logging.getLogger(name).disabled for name in loggers}
    for name in loggers:
        logging.getLogger(name).disabled = True
    try:
        yield
    finally:
        for name, disabled in before.items():
            logging.getLogger(name).disabled = disabled

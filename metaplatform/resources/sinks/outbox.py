"""Messages on their way: a file for each message and channel, kept until its channel has taken it.

A message is put in by whoever has something to say, which waits for nothing. The loop sends what is due; a channel
that does not answer is asked again, later and later, for as long as it takes.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from metaplatform import places
from metaplatform.errors import StorageError
from metaplatform.naming import stable_id
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.specs.entities.families import NotificationSpec
from metaplatform.specs.records.messages import Message

"""Below the storage root."""
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
_FACTOR = 5
_CHANNEL: TypeAdapter[NotificationSpec] = TypeAdapter(NotificationSpec)


@dataclass(frozen=True)
class Waiting:
    """A message that ``channel`` has not taken yet.

    ``attempts`` have failed, the last with ``reason``; it is due from ``next_at`` on (UTC).
    """

    message: Message
    channel: NotificationSpec
    attempts: int
    next_at: datetime
    reason: str = ""

    @property
    def name(self) -> str:
        """Return the name of its file."""
        return f"{self.message.message_id}-{stable_id(self.channel.model_dump_json())}.json"

    def failed(self, now: datetime, reason: str) -> "Waiting":
        """Return the message after one more failed attempt: it is due again after 1, 5, 25 minutes … 6 hours."""
        wait = min(FIRST_WAIT * _FACTOR ** min(self.attempts, 10), LONGEST_WAIT)
        return Waiting(self.message, self.channel, self.attempts + 1, now + wait, reason)


class Outbox:
    """The messages below storage root ``root``; any number of processes may put, one at a time sends."""

    def __init__(self, root: Path) -> None:
        self._folder = root / places.OUTBOX

    def put(self, message: Message, channels: Sequence[NotificationSpec]) -> bool:
        """Keep a message for each channel; tell whether any of them is new. Again, it changes nothing.

        Raises:
            StorageError: if it cannot be kept.
        """
        asked = [Waiting(message, channel, 0, message.created_at.astimezone(UTC)) for channel in channels]
        with self._locked():
            new = [waiting for waiting in asked if not self._known(waiting.name)]
            for waiting in new:
                self._write(waiting)
        return bool(new)

    def has(self, message_id: str) -> bool:
        """Tell whether a message of this id has been put, for whatever channel."""
        return any(any((self._folder / place).glob(f"{message_id}-*.json")) for place in ("pending", "sent"))

    def waiting(self) -> list[Waiting]:
        """Return what is not taken yet, the oldest message first.

        Raises:
            StorageError: if a file is damaged.
        """
        found, damaged = self._pending()
        if damaged:
            raise damaged[0]
        return found

    def sending(self, now: datetime, send: Callable[[Waiting], str | None]) -> list[Waiting]:
        """Send each message that is due at ``now``; return those that were not taken, as they wait now.

        ``send`` returns why the channel did not take it, ``""`` if it did, None if it was not asked. A message is
        sent again, under the same id, if this process ends between the two. Where another process is sending,
        nothing is done.

        Raises:
            StorageError: if a file is damaged; the others are sent before.
        """
        if not (self._folder / "pending").is_dir():
            return []
        try:
            with FileLock(self._folder / ".sending", blocking=False):
                found, damaged = self._pending()
                asked = [self._send(waiting, now, send) for waiting in found if waiting.next_at <= now]
        except Timeout:
            return []
        if damaged:
            raise damaged[0]
        return [waiting for waiting in asked if waiting]

    def _send(self, waiting: Waiting, now: datetime, send: Callable[[Waiting], str | None]) -> Waiting | None:
        reason = send(waiting)
        if reason:
            later = waiting.failed(now, reason)
            self._write(later)
            return later
        if reason is not None:
            with self._locked():
                sent = self._folder / "sent"
                sent.mkdir(exist_ok=True)
                (self._folder / "pending" / waiting.name).replace(sent / waiting.name)
        return None

    def _pending(self) -> tuple[list[Waiting], list[StorageError]]:
        found: list[Waiting] = []
        damaged: list[StorageError] = []
        for path in sorted((self._folder / "pending").glob("[!.]*.json")):
            try:
                found.append(_read(path))
            except StorageError as error:
                damaged.append(error)
        return sorted(found, key=lambda waiting: waiting.message.created_at), damaged

    def _known(self, name: str) -> bool:
        return any((self._folder / place / name).exists() for place in ("pending", "sent"))

    def _write(self, waiting: Waiting) -> None:
        values: dict[str, Any] = {
            "message": waiting.message.model_dump(mode="json"),
            "channel": waiting.channel.model_dump(mode="json"),
            "attempts": waiting.attempts,
            "next_at": waiting.next_at.isoformat(),
            "reason": waiting.reason,
        }
        with _storage_errors(self._folder):
            write_whole(self._folder / "pending" / waiting.name, json.dumps(values).encode(), folders=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / ".lock", is_singleton=True):
                yield


def _read(path: Path) -> Waiting:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Waiting(
            Message.model_validate_json(json.dumps(kept["message"])),
            _CHANNEL.validate_python(kept["channel"]),
            int(kept["attempts"]),
            datetime.fromisoformat(kept["next_at"]),
            str(kept["reason"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            owner=str(path), culprit="the message cannot be read", fix="remove the file; what it said is lost"
        ) from error


@contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            owner=str(folder), culprit=str(error), fix="check the storage root's space and rights"
        ) from error

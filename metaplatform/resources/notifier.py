"""Messages to people and other systems: a line in a file, or whatever Apprise reaches."""

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from metaplatform.errors import StorageError
from metaplatform.resources.delta_tables import storage_root
from metaplatform.specs.reactions import AppriseNotification, FileNotification, NotificationSpec


class Notifier(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Sends notifications; those of kind ``file`` go below the storage folder ``root``."""

    root: str

    def send(
        self,
        spec: NotificationSpec,
        *,
        reaction: str,
        title: str,
        body: str,
        data: Mapping[str, Any],
        event_id: str,
    ) -> bool:
        """Send one message about ``event_id``; tell whether it was sent, False if a file has it already.

        ``data`` is facts for machines: JSON values. A message through Apprise carries them as lines of text;
        it is sent again when asked again, so the caller's ledger decides.

        Raises:
            StorageError: if it cannot be delivered. Neither it nor anything else tells Apprise's URL.
        """
        match spec:
            case FileNotification():
                path = storage_root(self.root) / "notifications" / f"{reaction}.jsonl"
                line = {"event_id": event_id, "reaction": reaction, "title": title, "body": body, "data": dict(data)}
                return _append_once(path, event_id, json.dumps(line, default=str))
            case AppriseNotification():
                facts = "\n".join(f"{name}: {value}" for name, value in data.items())
                _send_through_apprise(spec.url_env, title, f"{body}\n\n{facts}".strip(), owner=f"reactions.{reaction}")
                return True


def _append_once(path: Path, event_id: str, line: str) -> bool:
    """Append ``line`` unless one with its ``event_id`` is there; other processes wait meanwhile."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            written = file.read()
            if any(_event_id(old) == event_id for old in written.splitlines()):
                return False
            # A writer killed within its line left no line end: the next line must not join it.
            start = b"\n" if written and not written.endswith(b"\n") else b""
            os.write(file.fileno(), start + line.encode() + b"\n")
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(
            owner=path.name, culprit=str(error), fix="check the storage root's space and rights"
        ) from error
    return True


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
            owner=owner, culprit=f"the value of {variable} is no Apprise URL", fix="see Apprise's list of services"
        )
    if not delivered:
        raise StorageError(
            owner=owner,
            culprit=f"the service behind {variable} did not take the message",
            fix="check it, then run again",
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

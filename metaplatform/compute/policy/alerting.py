"""What goes wrong → what people are told: once when a cause is seen first, once when it is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from metaplatform.naming import stable_id
from metaplatform.specs.records.messages import Message


@dataclass(frozen=True)
class Trouble:
    """Something that has gone wrong and is not fixed yet.

    ``cause`` tells it from any other, ``since`` is when it was first seen, ``title`` and ``body`` are for people;
    ``links`` are paths of Dagster's page by their name.
    """

    cause: str
    since: datetime
    title: str
    body: str
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """A trouble that people have been told: the id of that message, and its title."""

    message_id: str
    title: str


def alerts(seen: Sequence[Trouble], told: Mapping[str, Alert], now: datetime) -> tuple[list[Message], dict[str, Alert]]:
    """Return the messages that ``seen`` leads to, and what people have been told then, by cause.

    A trouble that lasts is told once; one that was told and is no longer seen is told to be over.
    """
    messages, kept = [], {}
    for trouble in seen:
        alert = told.get(trouble.cause)
        if alert is None and trouble.cause not in kept:
            alert = Alert(f"trouble-{stable_id(trouble.cause, trouble.since.isoformat())}", trouble.title)
            messages.append(_message(alert.message_id, trouble.title, trouble.body, now, trouble.links))
        if alert is not None:
            kept[trouble.cause] = alert
    for cause, alert in told.items():
        if cause not in kept:
            over = f"Over: {alert.title}"
            messages.append(_message(f"{alert.message_id}-over", over, f"{over} ({alert.message_id})", now, {}))
    return messages, kept


def _message(message_id: str, title: str, body: str, now: datetime, links: Mapping[str, str]) -> Message:
    return Message(message_id=message_id, subject="platform", title=title, body=body, links=dict(links), created_at=now)

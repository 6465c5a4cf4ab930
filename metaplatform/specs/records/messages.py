"""What the platform says to people and other systems."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field

from metaplatform.specs.fields.base import Spec

Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
"""Text that says something."""


class Message(Spec):
    """Something that happened, told once to each channel under its ``message_id``.

    ``subject`` is who says it, a reference of the book (``reactions.late_flights``) or a part of the platform
    (``book``). ``facts`` are JSON values for machines. ``links`` are paths of Dagster's page by their name
    (``/runs/<id>``): the channel's text has them with the address of the deployment. ``created_at`` is UTC.
    """

    message_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    subject: Text
    title: Text
    body: Text
    facts: Mapping[str, str | int | float | bool | None] = Field(default_factory=dict)
    links: Mapping[str, str] = Field(default_factory=dict)
    created_at: datetime

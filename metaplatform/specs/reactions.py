"""Chapter ``reactions``: what a prediction sets in motion."""

from typing import Annotated, Literal

from pydantic import Field

from metaplatform.specs.base import Entity, EnvironmentVariable, Expression, Many, Name, Ref, Spec


class FileNotification(Spec):
    """A line of JSON in ``notifications/<reaction>.jsonl`` below the storage root."""

    kind: Literal["file"]


class AppriseNotification(Spec):
    """A message through Apprise (mail, chat, webhook); its URL is read from the environment variable ``url_env``."""

    kind: Literal["apprise"]
    url_env: EnvironmentVariable


NotificationSpec = Annotated[FileNotification | AppriseNotification, Field(discriminator="kind")]


class ReactionSpec(Entity):
    """When at least ``min_rows`` new rows of ``prediction`` meet ``when``: ``materialize`` assets, then ``notify``.

    Acts once for each scored partition and model version. ``when`` is an expression over the
    prediction's columns. Backfilled predictions are left alone unless ``on_backfill``.
    """

    prediction: Name
    when: Expression
    min_rows: int = Field(default=1, ge=1)
    materialize: Many[Ref] = ()
    notify: Many[NotificationSpec] = ()
    on_backfill: bool = False

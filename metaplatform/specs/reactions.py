"""Chapter ``reactions``: what a prediction sets in motion."""

from typing import Annotated, Literal

from pydantic import Field

from metaplatform.specs.base import ColumnName, Entity, EnvironmentVariable, Expression, Many, Name, Ref, Spec


class FileNotification(Spec):
    """A line of JSON below the storage root: ``notifications/<reaction>.jsonl``; for alerts, ``platform.jsonl``."""

    kind: Literal["file"]


class AppriseNotification(Spec):
    """A message through Apprise (mail, chat, webhook); its URL is read from the environment variable ``url_env``."""

    kind: Literal["apprise"]
    url_env: EnvironmentVariable


NotificationSpec = Annotated[FileNotification | AppriseNotification, Field(discriminator="kind")]


class ReactionSpec(Entity):
    """When at least ``min_rows`` new rows of ``prediction`` meet ``when``: ``materialize`` assets, then ``notify``.

    Acts on rows, each of them once: on those that meet ``when``, an expression over the prediction's columns, and
    that it has not acted on before; with ``on_new_version``, again when another model version scores them.
    Backfilled predictions are left alone unless ``on_backfill``. A message shows the first rows by ``rank_by``
    (largest first; default: the score) in ``columns`` (default: key, event timestamp, kept columns, score).
    """

    prediction: Name
    when: Expression
    min_rows: int = Field(default=1, ge=1)
    materialize: Many[Ref] = ()
    notify: Many[NotificationSpec] = ()
    on_backfill: bool = False
    on_new_version: bool = False
    columns: Many[ColumnName] = ()
    rank_by: Expression | None = None

"""Chapter ``reactions``: what a prediction sets in motion."""

from collections.abc import Iterator

from pydantic import Field

from metaplatform.chapters import MATERIALIZED, PREDICTIONS, REACTIONS
from metaplatform.specs.entities.entity import Entity, Neighbours
from metaplatform.specs.entities.families import NotificationSpec
from metaplatform.specs.fields.base import ColumnName, Expression, Many, Name, Ref
from metaplatform.specs.fields.references import Path, Reference, named, texts_at, whole


class ReactionSpec(Entity):
    """When at least ``min_rows`` new rows of ``prediction`` meet ``when``: ``materialize`` assets, then ``notify``.

    Acts on rows, each of them once: on those that meet ``when``, an expression over the prediction's columns, and
    that it has not acted on before; with ``on_new_version``, again when another model version scores them.
    Backfilled predictions are left alone unless ``on_backfill``. A message shows the first rows by ``rank_by``
    (largest first; default: the score) in ``columns`` (default: key, event timestamp, kept columns, score).
    """

    chapter = REACTIONS
    prediction: Name
    when: Expression
    min_rows: int = Field(default=1, ge=1)
    materialize: Many[Ref] = ()
    notify: Many[NotificationSpec] = ()
    on_backfill: bool = False
    on_new_version: bool = False
    columns: Many[ColumnName] = ()
    rank_by: Expression | None = None

    @property
    def prediction_ref(self) -> str:
        """Return the reference of the prediction whose rows are looked at."""
        return PREDICTIONS.ref(self.prediction)

    @property
    def told(self) -> str:
        """Return when the reaction acts."""
        return f"Acts when new rows of {self.prediction_ref} meet {self.when}."

    def expressions(self) -> Iterator[tuple[Path, str]]:
        """Yield the condition, and what ranks the rows."""
        yield from texts_at(self, "when")
        yield from texts_at(self, "rank_by")

    def references(self) -> Iterator[Reference]:
        """Yield what the reaction is ordered behind, its prediction, and what it has made."""
        yield from super().references()
        yield from named(self, "prediction", PREDICTIONS)
        yield from whole(self, "materialize", MATERIALIZED)

    def upstream(self, book: Neighbours) -> Iterator[str]:
        """Yield the prediction, and what the reaction has made."""
        del book
        yield from (self.prediction_ref, *self.materialize)

    def partition_parent(self, book: Neighbours) -> str | None:
        """Return the prediction."""
        del book
        return self.prediction_ref

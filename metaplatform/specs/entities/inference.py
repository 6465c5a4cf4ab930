"""Chapter ``predictions``: which rows are scored by which model version."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from metaplatform.chapters import MODELS, PREDICTIONS
from metaplatform.specs.entities.entity import Entity, Neighbours
from metaplatform.specs.fields.base import ColumnName, Many, Name
from metaplatform.specs.fields.reads import SAME_ONLY, WHOLE, Reach
from metaplatform.specs.fields.references import Reference, named

SCORE_COLUMNS = {"binary": "probability", "regression": "prediction"}
"""Name of the column that holds the score, by task."""
STAMP_COLUMNS = ("model_name", "model_version", "run_id", "scored_at")
"""What every prediction row says of its making."""


class PredictionSpec(Entity):
    """Scores of ``model`` for the rows of its feature set.

    ``version`` is the alias ``champion``, or a pinned version number. ``keep`` carries columns of the
    spine along, for readers. A row that the champion has learnt from keeps the score of an earlier champion that did
    not; where there is none, it has no prediction. With ``in_sample`` the version scores what it has learnt from too.
    """

    chapter = PREDICTIONS
    model: Name
    version: Literal["champion"] | int = Field(default="champion")
    keep: Many[ColumnName] = ()
    in_sample: bool = False

    @property
    def model_ref(self) -> str:
        """Return the reference of the model that scores."""
        return MODELS.ref(self.model)

    @property
    def told(self) -> str:
        """Return which version of which model scores."""
        version = "the champion" if self.version == "champion" else f"version {self.version}"
        return f"Scores of {self.model_ref}, by {version}."

    def references(self) -> Iterator[Reference]:
        """Yield what the prediction is ordered behind, and its model."""
        yield from super().references()
        yield from named(self, "model", MODELS)

    def reads(self, book: Neighbours) -> dict[str, tuple[Reach, ...]]:
        """Return the features' same partition, the spine's if columns of it are kept, and the champion.

        Training a model again changes nothing for one whose pinned version scores.
        """
        model = book.models[self.model]
        found: dict[str, tuple[Reach, ...]] = {model.feature_set_ref: SAME_ONLY}
        if self.version == "champion":
            found[self.model_ref] = (WHOLE,)
        return {**found, book.feature_sets[model.feature_set].spine: SAME_ONLY} if self.keep else found

    def upstream(self, book: Neighbours) -> Iterator[str]:
        """Yield the model first, also one whose pinned version scores."""
        yield self.model_ref
        yield from super().upstream(book)

    def partition_parent(self, book: Neighbours) -> str | None:
        """Return the features that are scored, the model where it is not there."""
        model = book.models.get(self.model)
        return model.feature_set_ref if model else self.model_ref

    @property
    def carried(self) -> tuple[str, ...]:
        """Return what is kept of the spine for readers."""
        return self.keep

    def kinds_in(self, book: Neighbours) -> tuple[str, ...]:
        """Return what has learnt the model that scores, and the table."""
        return (book.models[self.model].kind, "deltalake")

    def own_columns(self, book: Neighbours) -> tuple[str, ...]:
        """Return the score, and what each row says of its making."""
        return (SCORE_COLUMNS[book.models[self.model].task], *STAMP_COLUMNS)

    def described_rows(self, book: Neighbours) -> str | None:
        """Return the spine of the features that are scored."""
        return book.feature_sets[book.models[self.model].feature_set].spine

    @property
    def later_fields(self) -> frozenset[str]:
        """Return fields that earlier releases did not have: a book that does not use them means what it meant."""
        return frozenset({"in_sample"})

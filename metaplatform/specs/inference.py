"""Chapter ``predictions``: which rows are scored by which model version."""

from typing import Literal

from pydantic import Field

from metaplatform.specs.base import ColumnName, Entity, Many, Name

SCORE_COLUMNS = {"binary": "probability", "regression": "prediction"}
"""Name of the column that holds the score, by task."""
STAMP_COLUMNS = ("model_name", "model_version", "run_id", "scored_at")
"""What every prediction row says of its making."""


class PredictionSpec(Entity):
    """Scores of ``model`` for the rows of its feature set.

    ``version`` is the alias ``champion``, or a pinned version number. ``keep`` carries columns of the
    spine along, for readers. A row that the champion has learnt from keeps the score of an earlier champion that has
    not; where there is none, it has no prediction. With ``in_sample`` the version scores what it has learnt from too.
    """

    model: Name
    version: Literal["champion"] | int = Field(default="champion")
    keep: Many[ColumnName] = ()
    in_sample: bool = False

    @property
    def later_fields(self) -> frozenset[str]:
        """Return fields that earlier releases did not have: a book that does not use them means what it meant."""
        return frozenset({"in_sample"})

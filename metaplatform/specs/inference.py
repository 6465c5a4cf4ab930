"""Chapter ``predictions``: which rows are scored by which model version."""

from typing import Literal

from pydantic import Field

from metaplatform.specs.base import ColumnName, Entity, Many, Name

SCORE_COLUMNS = {"binary": "probability", "regression": "prediction"}
"""Name of the column that holds the score, by task."""
STAMP_COLUMNS = ("model_name", "model_version", "run_id", "scored_at")
"""What every prediction row says of its making."""


class PredictionSpec(Entity):
    """Scores of ``model`` for every row of its feature set.

    ``version`` is the alias ``champion``, or a pinned version number. ``keep`` carries columns of the
    spine along, for readers.
    """

    model: Name
    version: Literal["champion"] | int = Field(default="champion")
    keep: Many[ColumnName] = ()

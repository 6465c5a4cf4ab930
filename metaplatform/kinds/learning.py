"""What the learner of a kind of model is written with; it scores without Dagster or an engine."""

from metaplatform.compute.learners.learning import Fit, Learner, Matrix, Rows, Score
from metaplatform.errors import DataError

__all__ = ["DataError", "Fit", "Learner", "Matrix", "Rows", "Score"]

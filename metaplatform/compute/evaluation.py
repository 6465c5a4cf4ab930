"""How good scores are: the metrics of a task on labelled rows, by scikit-learn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaplatform.errors import DataError
from metaplatform.specs.fields.metrics import Metric, Task, metrics_of

Numbers = npt.NDArray[np.floating[Any]]
CLIP = 1e-7
"""Probabilities closer to 0 or 1 count as this close: float32 scores reach 0 and 1, whose log loss is infinite."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of every metric of the task on ``rows`` rows; None where undefined, with the reason in ``undefined``."""

    rows: int
    scores: Mapping[str, float | None]
    undefined: Mapping[str, str]


def evaluate(labels: Numbers, scores: Numbers, task: Task) -> Evaluation:
    """Return every metric of ``task``; both arrays are one-dimensional and of one length.

    Raises:
        DataError: if the lengths differ, or a value is missing or infinite.
    """
    check_pairs(labels, scores)
    undefined: dict[str, str] = {
        metric: reason for metric in metrics_of(task) if (reason := why_undefined(metric, labels, scores))
    }
    values: dict[str, float | None] = {
        metric: None if metric in undefined else _FORMULAS[metric](labels, scores) for metric in metrics_of(task)
    }
    return Evaluation(len(labels), values, undefined)


def check_pairs(labels: Numbers, scores: Numbers) -> None:
    """Check that each label has its score.

    Raises:
        DataError: if the lengths differ, or a value is missing or infinite.
    """
    if len(labels) != len(scores):
        raise DataError(
            owner="evaluation",
            culprit=f"{len(labels)} labels, {len(scores)} scores",
            fix="score exactly the labelled rows, in their order",
        )
    unusable = int((~np.isfinite(labels) | ~np.isfinite(scores)).sum())
    if unusable:
        raise DataError(
            owner="evaluation",
            culprit=f"{unusable} of {len(labels)} rows lack a finite label or score",
            fix="leave rows without a label out, by target.exclude",
        )


def why_undefined(metric: Metric, labels: Numbers, *scores: Numbers) -> str:
    """Return why the metric says nothing on these labels and the scores of one or more models, or an empty text."""
    if not len(labels):
        return "no rows"
    if metric != "roc_auc" and not np.isfinite(_most(metric, labels, *scores)):
        return "labels or scores are too large"
    if len(np.unique(labels)) == 1:
        return constant_labels(metric, len(labels), labels[0])
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if metric == "r2" and not np.isfinite(_most(metric, labels, *scores) / (len(labels) * np.var(labels))):
            return "labels are too similar: nothing to explain"
    return ""


def _most(metric: Metric, *numbers: Numbers) -> float:
    """Return what no sum of the metric's losses over these rows, drawn however often, exceeds; infinite: it may."""
    with np.errstate(over="ignore"):
        apart = 2 * np.max([np.abs(values.astype(np.float64)).max() for values in numbers])
        return float(len(numbers[0]) * (apart if metric == "mae" else apart**2))


def constant_labels(metric: Metric | str, rows: int, label: float) -> str:
    """Return why the metric says nothing where all labels are the same one, or an empty text."""
    if metric == "roc_auc":
        return f"all {rows} labels are {label:g}: one class only"
    if metric == "r2":
        return f"all {rows} labels are {label:g}: nothing to explain"
    return ""


def _roc_auc(labels: Numbers, scores: Numbers) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def _log_loss(labels: Numbers, scores: Numbers) -> float:
    from sklearn.metrics import log_loss

    return float(log_loss(labels, np.clip(scores.astype(np.float64), CLIP, 1 - CLIP), labels=[0, 1]))


def _squared(labels: Numbers, scores: Numbers) -> float:
    from sklearn.metrics import mean_squared_error

    return float(mean_squared_error(labels, scores))


def _rmse(labels: Numbers, scores: Numbers) -> float:
    return float(np.sqrt(_squared(labels, scores)))


def _mae(labels: Numbers, scores: Numbers) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(labels, scores))


def _r2(labels: Numbers, scores: Numbers) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(labels, scores))


_FORMULAS: dict[Metric, Callable[[Numbers, Numbers], float]] = {
    "roc_auc": _roc_auc,
    "log_loss": _log_loss,
    "brier": _squared,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
}

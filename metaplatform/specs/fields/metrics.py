"""The metrics by which models are judged, and all that is true of each but its formula (``compute.evaluation``)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

Task = Literal["binary", "regression"]
Metric = Literal["roc_auc", "log_loss", "brier", "rmse", "mae", "r2"]


@dataclass(frozen=True)
class MetricFacts:
    """The ``task`` that a metric is of, the least and the greatest value it can have, and which of them is better."""

    task: Task
    low: float
    high: float
    higher_is_better: bool = False


_NO_LIMIT = float("inf")
METRICS: Mapping[str, MetricFacts] = {
    "roc_auc": MetricFacts("binary", 0, 1, higher_is_better=True),
    "log_loss": MetricFacts("binary", 0, _NO_LIMIT),
    "brier": MetricFacts("binary", 0, 1),
    "rmse": MetricFacts("regression", 0, _NO_LIMIT),
    "mae": MetricFacts("regression", 0, _NO_LIMIT),
    "r2": MetricFacts("regression", -_NO_LIMIT, 1, higher_is_better=True),
}
"""Every metric; of a task the first is the one that is proposed."""


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """Return the metrics of a task."""
    return tuple(cast("Metric", metric) for metric, facts in METRICS.items() if facts.task == task)

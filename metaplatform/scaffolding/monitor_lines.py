"""Predictions of a new model → what watches them."""

from collections.abc import Iterator

from metaplatform.scaffolding.defaults import fitted, told
from metaplatform.scaffolding.yaml_text import commented
from metaplatform.specs.entities.monitoring import DriftMonitor, PerformanceMonitor
from metaplatform.specs.fields.metrics import Metric, Task

_FEWEST_JUDGED = 30
"""Fewer rows say too little of a share or a metric, however few there are in all."""


def drift_lines(name: str, prediction: str, *, rows: int) -> Iterator[str]:
    """Yield a drift monitor; ``rows`` is how many rows a partition may be expected to have."""
    yield f"  {name}:"
    yield "    kind: drift"
    yield f"    prediction: {prediction}"
    yield _least(DriftMonitor, rows, "under so many rows a partition is not judged: what is usual is not known")
    yield told(DriftMonitor, "drift_share", "fails from this share of drifted columns on: check on a replay")
    yield "    # exclude: []  # features that move by themselves, such as counters and calendars"


def performance_lines(name: str, prediction: str, task: Task, metric: Metric, *, rows: int) -> Iterator[str]:
    """Yield a performance monitor; ``rows`` is how many rows a partition may be expected to have."""
    yield f"  {name}:"
    yield "    kind: performance"
    yield f"    prediction: {prediction}"
    yield _least(PerformanceMonitor, rows, "under so many mature labels nothing is judged: what is usual is not known")
    yield "    metrics:"
    if task == "binary":
        loss = "0.05" if metric == "roc_auc" else "0.1"
        yield commented(f"      {metric}: {{max_loss: {loss}}}", "against the version's holdout: check on a replay")
        return
    yield commented("      r2: {min: 0.0}", "0 is as good as the mean; a max_loss of rmse is in the target's unit")


def _least(monitor: type[DriftMonitor | PerformanceMonitor], rows: int, note: str) -> str:
    number = fitted(monitor, "min_rows", rows, least=_FEWEST_JUDGED)
    return told(monitor, "min_rows", note) if number is None else commented(f"    min_rows: {number}", note)

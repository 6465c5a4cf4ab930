"""Performance: was the model right, now that the labels are known?"""

from collections.abc import Mapping
from math import isfinite
from typing import Literal

from metaplatform.compute.findings import Finding, Status
from metaplatform.specs.entities.monitoring import MetricLimit, PerformanceMonitor
from metaplatform.specs.fields.metrics import METRICS, Metric
from metaplatform.text.plurals import counted

EarlierScore = tuple[float, str]
"""A score to lose from, and where it was reached (``holdout``, or a partition)."""
Bound = tuple[Literal["under", "over"], float, str]


def judge_performance(
    metrics: Mapping[str, float | None],
    rows: int,
    monitor: PerformanceMonitor,
    earlier: Mapping[str, EarlierScore],
    undefined: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    """Return one finding for each metric of the monitor; its name is the check.

    ``metrics`` are realized on ``rows`` matured rows; ``earlier`` are the scores from which ``max_loss`` counts in
    the metric's worse direction: those of the version's holdout, or of its first matured partition. The threshold
    reported is the bound that is broken, or else the nearest one. Skipped: under the monitor's ``min_rows``, a metric
    that is undefined for the reason that ``undefined`` gives, no bound.
    """
    return tuple(
        _judge(
            name,
            metrics.get(name),
            rows=rows,
            min_rows=monitor.min_rows,
            bounds=_bounds(name, limit, earlier),
            undefined=(undefined or {}).get(name, "it is not a finite number"),
        )
        for name, limit in monitor.metrics.items()
    )


def _bounds(name: Metric, limit: MetricLimit, earlier: Mapping[str, EarlierScore]) -> list[Bound]:
    bounds: list[Bound] = []
    if limit.min is not None:
        bounds.append(("under", limit.min, "min"))
    if limit.max is not None:
        bounds.append(("over", limit.max, "max"))
    if limit.max_loss is not None and name in earlier:
        before, where = earlier[name]
        because = f"{where} {before:.4g}, max_loss {limit.max_loss:g}"
        if METRICS[name].higher_is_better:
            bounds.append(("under", before - limit.max_loss, because))
        else:
            bounds.append(("over", before + limit.max_loss, because))
    return bounds


def _judge(name: str, score: float | None, *, rows: int, min_rows: int, bounds: list[Bound], undefined: str) -> Finding:
    if rows < min_rows:
        return _skipped(name, score, f"{rows:,} matured rows, {min_rows:,} needed")
    if score is None or not isfinite(score):
        return _skipped(name, None, f"undefined on {counted(rows, 'row')}: {undefined}")
    if not bounds:
        return _skipped(name, score, "the version has no earlier score to lose from: from now on it has this one")

    def excess(bound: Bound) -> float:
        return bound[1] - score if bound[0] == "under" else score - bound[1]

    side, threshold, because = max(bounds, key=excess)
    status: Status = "failed" if excess((side, threshold, because)) > 0 else "passed"
    asked = "at least" if side == "under" else "at most"
    detail = f"{score:.4g} on {counted(rows, 'row')}, {asked} {threshold:.4g} asked for ({because})"
    return Finding(name, "", score, threshold, status, detail)


def _skipped(name: str, score: float | None, detail: str) -> Finding:
    return Finding(name, "", score, None, "skipped", detail)

"""Limits on realized metrics, in each metric's own direction; and Evidently's picture of them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute import evidently_performance
from metaplatform.compute.evidently_performance import performance_report
from metaplatform.compute.findings import Finding
from metaplatform.compute.performance import judge_performance
from metaplatform.specs.entities.monitoring import MetricLimit, PerformanceMonitor
from metaplatform.specs.fields.metrics import METRICS, Metric, Task


def judge(
    metric: Metric, score: float | None, *, rows: int = 1_000, baseline: float | None = None, **limit: float
) -> Finding:
    monitor = PerformanceMonitor(
        name="watch", kind="performance", prediction="late", metrics={metric: MetricLimit(**limit)}
    )
    (finding,) = judge_performance(
        {metric: score},
        rows,
        monitor,
        {} if baseline is None else {metric: (baseline, "holdout")},
        {metric: "one class only"} if score is None else None,
    )
    return finding


@pytest.mark.parametrize("metric", sorted(METRICS))
@given(before=st.floats(-10, 10), change=st.floats(-5, 5), loss=st.floats(0, 5))
def test_only_a_change_for_the_worse_counts_as_loss(metric: Metric, before: float, change: float, loss: float) -> None:
    score = before + change
    finding = judge(metric, score, baseline=before, max_loss=loss)
    bound = before - loss if METRICS[metric].higher_is_better else before + loss
    worse = score < bound if METRICS[metric].higher_is_better else score > bound
    assert (finding.status, finding.threshold) == ("failed" if worse else "passed", bound)


@pytest.mark.parametrize(
    ("limit", "score", "status", "threshold"),
    [
        ({"min": 0.6}, 0.59, "failed", 0.6),
        ({"min": 0.6}, 0.6, "passed", 0.6),
        ({"max": 0.9}, 0.91, "failed", 0.9),
        ({"min": 0.6, "max": 0.9}, 0.7, "passed", 0.6),
        ({"min": 0.6, "max": 0.9}, 0.95, "failed", 0.9),
        # The bound that is broken, or else the nearest, is the one reported.
        ({"min": 0.6, "max_loss": 0.05}, 0.7, "failed", 0.75),
        ({"min": 0.78, "max_loss": 0.05}, 0.77, "failed", 0.78),
        ({"min": 0.6, "max_loss": 0.05}, 0.79, "passed", 0.75),
    ],
)
def test_the_bound_that_decides_is_the_threshold(
    limit: dict[str, float], score: float, status: str, threshold: float
) -> None:
    finding = judge("roc_auc", score, baseline=0.8, **limit)
    assert (finding.status, finding.threshold) == (status, pytest.approx(threshold))
    assert (finding.check, finding.column, finding.score) == ("roc_auc", "", score)


@pytest.mark.parametrize(
    ("score", "rows", "baseline", "detail"),
    [
        (0.1, 299, 0.8, "299 matured rows, 300 needed"),
        (None, 1_000, 0.8, "undefined on 1,000 rows: one class only"),
        (float("nan"), 1_000, 0.8, "undefined on 1,000 rows: it is not a finite number"),
        (0.1, 1_000, None, "the version has no earlier score to lose from: from now on it has this one"),
    ],
)
def test_what_cannot_be_judged_is_skipped_with_the_reason(
    score: float | None, rows: int, baseline: float | None, detail: str
) -> None:
    finding = judge("roc_auc", score, rows=rows, baseline=baseline, max_loss=0.05)
    assert (finding.status, finding.threshold, finding.detail) == ("skipped", None, detail)


def test_an_absolute_bound_judges_a_version_without_holdout_score() -> None:
    assert judge("roc_auc", 0.1, min=0.5, max_loss=0.05).status == "failed"


def test_every_metric_of_the_monitor_is_judged_and_no_other() -> None:
    limits: dict[Metric, MetricLimit] = {"roc_auc": MetricLimit(min=0.6), "log_loss": MetricLimit(max=0.5)}
    monitor = PerformanceMonitor(name="watch", kind="performance", prediction="late", metrics=limits)
    findings = judge_performance({"roc_auc": 0.7, "brier": 0.1}, 1_000, monitor, {})
    assert [(finding.check, finding.status) for finding in findings] == [("roc_auc", "passed"), ("log_loss", "skipped")]


def drawn(task: Task, rows: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(3)
    scores = generator.random(rows)
    labels = generator.random(rows) < scores if task == "binary" else scores + generator.normal(size=rows)
    return labels.astype(np.float64), scores


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_report_is_one_page_headed_by_escaped_facts(task: Task) -> None:
    labels, scores = drawn(task, 400)
    labels[:10], scores[10:20] = np.nan, np.nan
    page = performance_report(labels, scores, task, metadata={"version": "</p><script>3"})
    assert "matured rows: <b>380</b> · version: <b>&lt;/p&gt;&lt;script&gt;3</b>" in page
    assert "Report" in page or "Quality" in page


def test_a_large_report_draws_a_sample_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidently_performance, "SAMPLE_ROWS", 100)
    page = performance_report(*drawn("binary", 400), "binary", metadata={})
    assert "matured rows: <b>400</b> · rows drawn: <b>100</b>" in page


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_nothing_to_draw_is_no_page(task: Task) -> None:
    nothing = np.array([])
    assert performance_report(nothing, nothing, task, metadata={}) == ""
    assert performance_report(np.array([np.nan]), np.array([1.0]), task, metadata={}) == ""
    if task == "binary":
        assert performance_report(np.ones(400), np.full(400, 0.5), task, metadata={}) == ""


def test_constant_scores_and_a_single_row_are_drawn() -> None:
    assert performance_report(np.array([0.0, 1.0] * 200), np.full(400, 0.5), "binary", metadata={})
    assert performance_report(np.array([2.0]), np.array([1.0]), "regression", metadata={})

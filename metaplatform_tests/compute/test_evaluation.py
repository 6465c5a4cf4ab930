import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error, r2_score, roc_auc_score

from metaplatform.compute import evaluation
from metaplatform.compute.comparison import statistic
from metaplatform.compute.evaluation import CLIP, evaluate
from metaplatform.errors import DataError
from metaplatform.specs.fields.metrics import METRICS, Metric, metrics_of

PAIRS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1)),
    min_size=2,
    max_size=30,
)


def test_binary_metrics_are_those_of_scikit_learn():
    labels, scores = np.array([0.0, 1, 1, 0, 1]), np.array([0.2, 0.7, 0.2, 0.5, 0.9])
    found = evaluate(labels, scores, "binary")
    assert found.scores == pytest.approx(
        {
            "roc_auc": roc_auc_score(labels, scores),
            "log_loss": log_loss(labels, scores),
            "brier": np.mean((labels - scores) ** 2),
        }
    )
    assert (found.rows, found.undefined) == (5, {})


def test_regression_metrics_are_those_of_scikit_learn():
    labels, scores = np.array([1.0, 2, 4]), np.array([1.5, 2, 3])
    assert evaluate(labels, scores, "regression").scores == pytest.approx(
        {
            "rmse": mean_squared_error(labels, scores) ** 0.5,
            "mae": mean_absolute_error(labels, scores),
            "r2": r2_score(labels, scores),
        }
    )


@settings(max_examples=50)
@given(pairs=PAIRS, task=st.sampled_from(["binary", "regression"]), data=st.data())
def test_the_bootstrap_counts_rows_as_often_as_evaluation_sees_them(
    pairs: list[tuple[float, float]], task: str, data: st.DataObject
):
    labels, scores = map(np.array, zip(*pairs, strict=True))
    counts = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs))))
    expected = evaluate(np.repeat(labels, counts), np.repeat(scores, counts), task).scores
    for metric in metrics_of(task):
        if expected[metric] is not None:
            value = statistic(metric, labels, scores)(counts.astype(float))
            assert value == pytest.approx(expected[metric], abs=1e-9)


EXTREMES = st.sampled_from([0.0, 5e-324, 1e-320, 1e-160, 1.0, 1e150, 1e154, 1e300, 1e308]).flatmap(
    lambda size: st.sampled_from([size, -size])
)


@given(pairs=st.lists(st.tuples(EXTREMES | st.floats(allow_nan=False, allow_infinity=False), EXTREMES), max_size=12))
def test_whatever_the_numbers_a_metric_is_finite_or_undefined_for_a_reason(pairs: list[tuple[float, float]]):
    labels, scores = np.array(pairs, float).reshape(-1, 2).T
    found = evaluate(labels, scores, "regression")
    assert {name for name, value in found.scores.items() if value is None} == set(found.undefined)
    assert all(np.isfinite(value) for value in found.scores.values() if value is not None)
    json.dumps(found.scores, allow_nan=False)


@pytest.mark.parametrize(("task", "metric"), [("binary", "roc_auc"), ("regression", "r2")])
def test_labels_all_alike_leave_a_metric_undefined_with_the_reason(task: str, metric: str):
    found = evaluate(np.ones(3), np.array([0.1, 0.2, 0.3]), task)
    assert found.scores[metric] is None
    assert "all 3 labels are 1" in found.undefined[metric]
    assert all(value is not None for name, value in found.scores.items() if name != metric)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_no_rows_leave_every_metric_undefined(task: str):
    found = evaluate(np.array([]), np.array([]), task)
    assert set(found.scores.values()) == {None}
    assert set(found.undefined.values()) == {"no rows"}


def test_a_sure_and_wrong_score_costs_a_finite_log_loss():
    found = evaluate(np.array([0.0, 1.0]), np.array([1.0, 0.0], np.float32), "binary")
    assert found.scores["log_loss"] == pytest.approx(-np.log(CLIP))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_missing_label_or_score_is_an_error_that_counts_them(bad: float):
    with pytest.raises(DataError, match="1 of 2 rows"):
        evaluate(np.array([0.0, bad]), np.array([0.1, 0.2]), "binary")
    with pytest.raises(DataError, match="1 of 2 rows"):
        evaluate(np.array([0.0, 1.0]), np.array([0.1, bad]), "binary")


def test_labels_without_their_scores_are_an_error():
    with pytest.raises(DataError, match="2 labels, 1 scores"):
        evaluate(np.zeros(2), np.zeros(1), "binary")


def test_every_metric_has_its_facts_and_its_formula() -> None:
    assert set(METRICS) == set(get_args(Metric)) == set(evaluation._FORMULAS)

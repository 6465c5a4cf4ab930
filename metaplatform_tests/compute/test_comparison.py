from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.compute.comparison import compare
from metaplatform.errors import DataError
from metaplatform.specs.entities.training import PromotionSpec
from metaplatform.specs.fields.metrics import METRICS

TASKS = {metric: facts.task for metric, facts in METRICS.items()}


def promotion(metric: str, **changes: Any):
    return PromotionSpec(**{"metric": metric, "resamples": 200, "min_rows": 10, **changes})


def rows_of(metric: str, *, seed: int = 0, rows: int = 400):
    """Return labels, and the scores that know them best."""
    random = np.random.default_rng(seed)
    truth = random.random(rows)
    labels = (
        (random.random(rows) < truth).astype(float)
        if TASKS[metric] == "binary"
        else truth + random.normal(0, 0.1, rows)
    )
    return labels, truth, random


@pytest.mark.parametrize("metric", list(TASKS))
def test_a_clearly_better_challenger_is_promoted_and_never_the_other_way_round(metric: str):
    labels, good, random = rows_of(metric)
    bad = random.random(len(labels))
    found = compare(labels, bad, good, promotion(metric), seed=1)
    assert found.outcome == "promoted"
    assert found.gain > found.lower_bound > 0
    assert compare(labels, good, bad, promotion(metric), seed=1).outcome == "kept"


@settings(max_examples=60)
@given(
    metric=st.sampled_from(list(TASKS)),
    pairs=st.lists(
        st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1)),
        min_size=1,
        max_size=40,
    ),
    confidence=st.sampled_from([0.5, 0.9, 0.99]),
)
def test_identical_scores_are_never_promoted(metric: str, pairs: list[tuple[float, float]], confidence: float):
    labels, scores = map(np.array, zip(*pairs, strict=True))
    found = compare(labels, scores, scores.copy(), promotion(metric, confidence=confidence, resamples=100), seed=0)
    assert found.outcome == "kept"


def test_a_transformation_that_keeps_the_order_gains_no_area():
    labels, good, _ = rows_of("roc_auc")
    found = compare(labels, np.round(good, 1), np.round(good, 1) ** 3, promotion("roc_auc"), seed=0)
    assert (found.outcome, found.gain) == ("kept", 0.0)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "rmse"])
def test_noise_alone_is_promoted_about_as_often_as_the_confidence_allows(metric: str):
    def noisy(truth: Any, random: Any) -> Any:
        return np.clip(truth + random.normal(0, 0.3, len(truth)), 0.01, 0.99)

    promoted = 0
    for seed in range(150):
        labels, truth, random = rows_of(metric, seed=seed, rows=200)
        spec = promotion(metric, confidence=0.9, resamples=100)
        promoted += compare(labels, noisy(truth, random), noisy(truth, random), spec, seed=seed).outcome == "promoted"
    # 15 of 150 are expected; 30 or more would come up once in 10,000 times.
    assert promoted < 30


def test_a_gain_below_the_declared_minimum_is_not_enough():
    labels, good, random = rows_of("rmse")
    worse = good + random.normal(0, 0.1, len(good))
    gain = compare(labels, worse, good, promotion("rmse"), seed=0).gain
    assert compare(labels, worse, good, promotion("rmse", min_gain=gain * 2), seed=0).outcome == "kept"


def test_the_same_seed_gives_the_same_verdict():
    labels, good, random = rows_of("brier")
    other = random.random(len(labels))
    assert compare(labels, other, good, promotion("brier"), seed=3) == compare(
        labels, other, good, promotion("brier"), seed=3
    )


def test_a_first_version_is_promoted_whatever_its_score():
    found = compare(np.ones(2), None, np.zeros(2), promotion("roc_auc"), seed=0)
    assert (found.outcome, found.challenger_score) == ("promoted", None)
    assert found.reasons[0] == "there is no champion yet"
    assert "it has no score, for roc_auc is undefined" in found.reasons[1]


def test_too_few_rows_keep_the_champion_and_say_so():
    labels, good, _ = rows_of("roc_auc", rows=50)
    found = compare(labels, 1 - good, good, promotion("roc_auc", min_rows=51), seed=0)
    assert (found.outcome, found.lower_bound) == ("kept", None)
    assert "50 labelled rows to compare on, 51 are needed" in found.reasons[0]


@pytest.mark.parametrize(("labels", "reason"), [(np.ones(20), "one class only"), (np.array([]), "no rows")])
def test_labels_that_judge_nothing_keep_the_champion_and_say_so(labels: Any, reason: str):
    found = compare(labels, labels / 2, labels / 3, promotion("roc_auc"), seed=0)
    assert (found.outcome, found.champion_score) == ("kept", None)
    assert reason in found.reasons[0]


def test_a_single_row_of_a_class_still_gives_a_bound():
    labels, scores = np.append(np.zeros(60), 1.0), np.linspace(0, 1, 61)
    assert compare(labels, scores[::-1], scores, promotion("roc_auc"), seed=0).lower_bound is not None


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
@settings(max_examples=60)
@given(rows=st.lists(st.tuples(*[st.sampled_from([0.0, 5e-324, 1e-160, 1.0, 1e150, -1e300, 1e308])] * 3), min_size=10))
def test_whatever_the_numbers_there_is_a_verdict_of_finite_numbers(metric: str, rows: list[tuple[float, ...]]):
    labels, champion, challenger = np.array(rows).T
    for before in (None, champion):
        found = compare(labels, before, challenger, promotion(metric, resamples=100), seed=0)
        numbers = (found.champion_score, found.challenger_score, found.gain, found.lower_bound)
        assert all(number is None or np.isfinite(number) for number in numbers)
        assert found.outcome == "kept" or before is None or found.gain > 0
        assert found.reasons


def test_one_label_that_no_metric_can_hold_keeps_the_champion_and_says_so():
    labels, good, random = rows_of("rmse")
    labels[7] = 1e308
    found = compare(labels, random.random(len(labels)), good, promotion("rmse"), seed=0)
    assert (found.outcome, found.champion_score, found.challenger_score) == ("kept", None, None)
    assert "too large" in found.reasons[0]


def test_a_missing_score_is_an_error():
    labels, good, _ = rows_of("rmse")
    with pytest.raises(DataError, match="1 of 400 rows"):
        compare(labels, np.where(np.arange(400) == 3, np.nan, good), good, promotion("rmse"), seed=0)

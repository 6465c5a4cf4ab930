"""Champion against challenger: is the gain beyond noise? A paired bootstrap over rows neither was trained on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from metaplatform.compute.evaluation import CLIP, Numbers, check_pairs, why_undefined
from metaplatform.specs.entities.training import PromotionSpec
from metaplatform.specs.fields.metrics import METRICS, Metric
from metaplatform.text.numbers import metric_text

Counts = npt.NDArray[np.float64]
Statistic = Callable[[Counts], float]
"""A metric of fixed labels and scores, given how often each row counts."""


@dataclass(frozen=True)
class Comparison:
    """The verdict on a challenger.

    ``gain`` is in the metric's better direction; with the declared confidence the true gain is above
    ``lower_bound``. Scores are None where the metric is undefined or there is no such model.
    """

    outcome: Literal["promoted", "kept"]
    metric: Metric
    champion_score: float | None
    challenger_score: float | None
    gain: float | None
    lower_bound: float | None
    rows: int
    reasons: tuple[str, ...]


def compare(
    labels: Numbers, champion: Numbers | None, challenger: Numbers, promotion: PromotionSpec, *, seed: int
) -> Comparison:
    """Compare both models' scores of the same rows, in the same order; ``champion`` is None for a first version.

    The same rows are drawn for both in every resample, so what makes rows hard cancels out. Percentile bound:
    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.

    Raises:
        DataError: if lengths differ, or a label or score is missing or infinite.
    """
    metric, rows = promotion.metric, len(labels)
    check_pairs(labels, challenger)
    if champion is not None:
        check_pairs(labels, champion)
    undefined = why_undefined(metric, labels, *(scores for scores in (champion, challenger) if scores is not None))
    second = None if undefined else statistic(metric, labels, challenger)
    everything = np.ones(rows)
    score = second(everything) if second else None
    if champion is None:
        unscored = (f"it has no score, for {metric} is undefined: {undefined}",) if undefined else ()
        return Comparison("promoted", metric, None, score, None, None, rows, ("there is no champion yet", *unscored))
    if second is None or score is None:
        reason = f"{metric} is undefined: {undefined}"
        return Comparison("kept", metric, None, None, None, None, rows, (reason,))
    first = statistic(metric, labels, champion)
    before, sign = first(everything), 1.0 if METRICS[metric].higher_is_better else -1.0
    gain = sign * (score - before)
    if rows < promotion.min_rows:
        reason = f"{rows} labelled rows to compare on, {promotion.min_rows} are needed"
        return Comparison("kept", metric, before, score, gain, None, rows, (reason,))
    gains = sign * np.array([second(counts) - first(counts) for counts in _resamples(rows, promotion.resamples, seed)])
    if not np.isfinite(gains).any():
        reason = f"{metric} is undefined in each resample of these rows: they are too similar"
        return Comparison("kept", metric, before, score, gain, None, rows, (reason,))
    bound = _lower_bound(gains, promotion.confidence)
    outcome, reason = _verdict(gain, bound, promotion)
    return Comparison(outcome, metric, before, score, gain, bound, rows, (reason,))


def statistic(metric: Metric, labels: Numbers, scores: Numbers) -> Statistic:
    """Return the metric as a function of row counts: sorting and losses are done once, not in each resample."""
    truth, guess = labels.astype(np.float64), scores.astype(np.float64)
    if metric == "roc_auc":
        return _roc_auc(truth, guess)
    if metric == "r2":
        return _r2(truth, guess)
    loss = _losses(metric, truth, guess)
    root = metric == "rmse"

    def mean(counts: Counts) -> float:
        value = float(_dot(counts, loss) / counts.sum())
        return float(np.sqrt(value)) if root else value

    return mean


def _dot(left: Counts, right: Counts) -> float:
    """Return the inner product, on this thread: BLAS shares vectors this short out, 30 times slower on busy cores."""
    return float(np.einsum("i,i->", left, right))


def _losses(metric: Metric, truth: Counts, guess: Counts) -> Counts:
    if metric == "log_loss":
        clipped = np.clip(guess, CLIP, 1 - CLIP)
        return -(truth * np.log(clipped) + (1 - truth) * np.log1p(-clipped))
    return np.abs(truth - guess) if metric == "mae" else (truth - guess) ** 2


def _roc_auc(truth: Counts, guess: Counts) -> Statistic:
    """Return the area as the chance that a positive outscores a negative, a tie counting half.

    Hanley & McNeil, Radiology 143 (1982). Rows of one score form a group.
    """
    order = np.argsort(guess, kind="stable")
    starts = np.flatnonzero(np.concatenate(([True], np.diff(guess[order]) > 0)))
    positive = truth[order] > 0
    tied = len(starts) < len(order)

    def area(counts: Counts) -> float:
        drawn = counts[order]
        positives = np.where(positive, drawn, 0.0)
        negatives = drawn - positives
        if tied:
            positives, negatives = np.add.reduceat(positives, starts), np.add.reduceat(negatives, starts)
        below = np.cumsum(negatives)
        pairs = positives.sum() * below[-1]
        return _dot(positives, below - negatives / 2) / float(pairs) if pairs else float("nan")

    return area


def _r2(truth: Counts, guess: Counts) -> Statistic:
    residual = (truth - guess) ** 2

    def explained(counts: Counts) -> float:
        mean = _dot(counts, truth) / counts.sum()
        total = _dot(counts, (truth - mean) ** 2)
        with np.errstate(over="ignore"):
            found = 1 - np.divide(_dot(counts, residual), total) if total else float("nan")
        # Labels that are nearly the same one explain as little as those that are.
        return float(found) if np.isfinite(found) else float("nan")

    return explained


def _resamples(rows: int, resamples: int, seed: int) -> Iterator[Counts]:
    """Yield how often each row is drawn when ``rows`` rows are drawn with replacement."""
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(random.integers(0, rows, rows, dtype=np.int64), minlength=rows).astype(np.float64)


def _lower_bound(gains: Counts, confidence: float) -> float:
    """Return the one-sided bound. Resamples without one of the classes tell nothing; at most e⁻¹ of all are so."""
    return float(np.quantile(gains[np.isfinite(gains)], 1 - confidence))


def _verdict(gain: float, bound: float, promotion: PromotionSpec) -> tuple[Literal["promoted", "kept"], str]:
    metric, least, confidence = promotion.metric, promotion.min_gain, f"{promotion.confidence:.0%}"
    told = f"a gain in {metric} of {metric_text(gain, signed=True)}, with {confidence} confidence at least "
    told += metric_text(bound, signed=True)
    if min(gain, bound) > least:
        return "promoted", f"{told}; more than {least:g} is required"
    return "kept", f"{told}; more than {least:g} is required, so the champion stays"

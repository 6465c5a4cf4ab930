"""What Evidently is given to judge: two columns of equal length expanded from digests, a method and a threshold.

Thresholds are widened by what chance alone makes of two samples of one distribution at the real row counts
n and m: the Wasserstein distance over the standard deviation stays under 3.3·√(1/n + 1/m) in 999 of 1,000
cases (measured on six shapes), and eight times the Jensen-Shannon divergence over (1/n + 1/m) follows
chi-square with one degree of freedom less than there are levels.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metaplatform.compute.digest import POINTS, CategoryDigest, ColumnDigest, NumericDigest
from metaplatform.compute.profile import CHANCE

REPEATS = 10
"""Rows of a frame for each quantile point; more rows, so that rare levels of categories show."""
FRAME_ROWS = POINTS * REPEATS
RAREST = 0.0005
"""Levels under this share are pooled: a frame holds five rows of it."""
OTHER = "(all other levels)"
_EXPECTED_ROWS = 10
_CONFIDENCE = 0.999
_TAIL = POINTS // 100
"""Points cut off on either side to find the range of the bulk (98 % of the rows)."""
_FENCE = 1.0
"""Values further than this many bulk ranges outside the bulk count as if they lay there."""
_SMALLEST_RANGE, _LARGEST_RANGE = 0.1, 1e30
_ROUNDING = 1e-9

Method = Literal["wasserstein", "jensenshannon"]


@dataclass(frozen=True)
class Comparison:
    """One column for Evidently: ``FRAME_ROWS`` values on either side, numbers or texts by ``method``."""

    column: str
    label: str
    method: Method
    threshold: float
    reference: NDArray[Any]
    current: NDArray[Any]


def compare(reference: ColumnDigest, current: ColumnDigest, *, threshold: float) -> Comparison | str:
    """Return what Evidently is to compare, or why there is nothing to compare; both sides must hold values.

    A number whose bulk (98 % of the reference) is one single value, but for rounding, is compared as a category,
    that value against any other: its standard deviation says nothing.
    """
    if isinstance(reference, NumericDigest) and isinstance(current, NumericDigest):
        low, high = _bulk(reference)
        if _same(low, high):
            return _compare_shares(
                current.name, _one_against_others(reference, low), _one_against_others(current, low), threshold
            )
        return _compare_numbers(reference, current, threshold)
    if isinstance(reference, CategoryDigest) and isinstance(current, CategoryDigest):
        return _compare_shares(current.name, _counts(reference), _counts(current), threshold)
    return f"{reference.kind} cannot be compared with {current.kind}"


def _bulk(digest: NumericDigest) -> tuple[float, float]:
    return digest.quantiles[_TAIL], digest.quantiles[-1 - _TAIL]


def _same(left: float, right: float) -> bool:
    """Return whether two numbers differ by rounding at most; features are held as 32-bit floats anyway."""
    return math.isclose(left, right, rel_tol=_ROUNDING)


def _compare_numbers(reference: NumericDigest, current: NumericDigest, threshold: float) -> Comparison:
    low, high = _bulk(reference)
    fence = _FENCE * (high - low)
    exponent = _exponent(high - low)
    frames = [
        np.repeat(np.clip(np.array(digest.quantiles), low - fence, high + fence) * 10.0**exponent, REPEATS)
        for digest in (reference, current)
    ]
    chance = CHANCE * math.sqrt(1 / reference.values + 1 / current.values)
    return Comparison(
        column=current.name,
        label=current.name if not exponent else f"{current.name} * 1e{exponent}",
        method="wasserstein",
        threshold=max(threshold, chance),
        reference=frames[0],
        current=frames[1],
    )


def _exponent(bulk_range: float) -> int:
    # Evidently takes no standard deviation for smaller than 0.001, which would hide drift of small units.
    if _SMALLEST_RANGE <= bulk_range <= _LARGEST_RANGE:
        return 0
    return max(-300, min(300, -math.floor(math.log10(bulk_range))))


def _one_against_others(digest: NumericDigest, value: float) -> Counter[str]:
    same = sum(_same(point, value) for point in digest.quantiles) / len(digest.quantiles)
    rows = round(same * digest.values)
    return Counter({f"{value:g}": rows, OTHER: digest.values - rows})


def _counts(digest: CategoryDigest) -> Counter[str]:
    counts = Counter(dict(digest.levels))
    counts[OTHER] += digest.other
    return counts


def _compare_shares(column: str, reference: Counter[str], current: Counter[str], threshold: float) -> Comparison | str:
    rows = (reference.total(), current.total())
    kept = _frequent_levels(reference, current)
    if not kept:
        return "no level is frequent enough to be compared"
    from scipy.special import chdtri

    # The pool is one level more, so the levels kept are as many as the degrees of freedom.
    chance = math.sqrt((1 / rows[0] + 1 / rows[1]) * float(chdtri(len(kept), 1 - _CONFIDENCE)) / 8)
    return Comparison(
        column=column,
        label=column,
        method="jensenshannon",
        threshold=max(threshold, chance),
        reference=expand_shares(_pooled(reference, kept)),
        current=expand_shares(_pooled(current, kept)),
    )


def _frequent_levels(reference: Counter[str], current: Counter[str]) -> frozenset[str]:
    total = reference.total() + current.total()
    least = max(RAREST, _EXPECTED_ROWS / min(reference.total(), current.total()))
    merged = reference + current
    return frozenset(level for level, rows in merged.items() if level != OTHER and rows / total >= least)


def _pooled(counts: Counter[str], kept: frozenset[str]) -> dict[str, int]:
    pooled = {level: counts[level] for level in sorted(kept)}
    return pooled | {OTHER: counts.total() - sum(pooled.values())}


def expand_shares(counts: Mapping[str, int]) -> NDArray[np.object_]:
    """Return ``FRAME_ROWS`` texts in which each level has its share, by largest remainder: off by one row at most."""
    names = list(counts)
    exact = np.array([counts[name] for name in names], dtype=np.float64)
    exact *= FRAME_ROWS / exact.sum()
    whole = np.floor(exact).astype(np.int64)
    missing = FRAME_ROWS - int(whole.sum())
    # Stable, so that equal remainders fall to the same levels on both sides.
    whole[np.argsort(whole - exact, kind="stable")[:missing]] += 1
    return np.repeat(np.array(names, dtype=object), whole)

"""The gate before drift: faults of the data that a distance between distributions cannot see, or dies of.

A share is compared with the monitor's limit or with what chance alone allows at these row counts,
whichever is larger, so that few rows raise no alarm.
"""

from collections.abc import Iterator

from metaplatform.compute.digest import CategoryDigest, ColumnDigest, Digest, NumericDigest
from metaplatform.compute.findings import Finding, Status
from metaplatform.specs.entities.monitoring import ProfileLimits

CHANCE = 3.3
"""Standard errors that chance exceeds about once in 1,000 times."""
_EXPECTED = 7.0
"""Of this many rows expected, none is seen once in 1,000 times (Poisson)."""


def profile(reference: Digest, current: Digest, limits: ProfileLimits, *, min_rows: int) -> tuple[Finding, ...]:
    """Return the verdict (check ``profile``, column ``""``), then what was found on each column of the reference.

    Checks: ``rows``, ``missing_column``, ``new_column``, ``type``, ``no_value``, ``null_share``,
    ``non_finite_share``, ``constant``, ``new_category_share``. Shares are of rows, 0 to 1, and reported
    whether they pass or not; the others are reported when they fail. Under ``min_rows`` on either side
    only columns and types are judged.
    """
    found = [_rows(reference, current, min_rows)]
    enough = found[0].status == "passed"
    for column in reference.columns:
        found.extend(_column_findings(column, current.column(column.name), limits, enough=enough))
    known = set(reference.names)
    found.extend(
        _finding("new_column", name, status="skipped", detail="the reference lacks this column: it is not judged")
        for name in current.names
        if name not in known
    )
    return (_verdict(found), *found)


def unjudgeable(reference: ColumnDigest | None, current: ColumnDigest | None, *, min_values: int) -> str:
    """Return why the distributions of a column cannot be compared, or ``""``; Evidently dies of most of these."""
    if reference is None or current is None:
        return f"missing in the {'reference' if reference is None else 'current'} data"
    if "skipped" in (reference.kind, current.kind):
        return getattr(reference, "reason", "") or getattr(current, "reason", "")
    if reference.kind != current.kind:
        return f"was {reference.dtype}, is {current.dtype}"
    for side, column in (("reference", reference), ("current", current)):
        if column.values < min_values:
            return f"{column.values} values in the {side} data, {min_values} needed"
    return ""


def _finding(
    check: str,
    column: str,
    *,
    status: Status,
    detail: str,
    score: float | None = None,
    threshold: float | None = None,
) -> Finding:
    return Finding(check=check, column=column, score=score, threshold=threshold, status=status, detail=detail)


def _verdict(found: list[Finding]) -> Finding:
    failed = sorted({f.column or f.check for f in found if f.status == "failed"})
    if failed:
        return _finding("profile", "", score=len(failed), threshold=0, status="failed", detail=", ".join(failed))
    return _finding("profile", "", score=0, threshold=0, status=found[0].status, detail=found[0].detail)


def _rows(reference: Digest, current: Digest, min_rows: int) -> Finding:
    detail = f"{current.rows:,} rows against {reference.rows:,} of the reference"
    status: Status = "passed"
    if not current.rows:
        status, detail = "failed", "there are no rows"
    elif min(current.rows, reference.rows) < min_rows:
        status, detail = "skipped", f"{detail}: under {min_rows:,}, too few to judge"
    return _finding("rows", "", score=current.rows, threshold=min_rows, status=status, detail=detail)


def _column_findings(
    reference: ColumnDigest, current: ColumnDigest | None, limits: ProfileLimits, *, enough: bool
) -> Iterator[Finding]:
    if current is None:
        yield _finding("missing_column", reference.name, status="failed", detail="the current data lack this column")
        return
    if reference.kind != current.kind and reference.values and (current.values or not current.rows):
        detail = f"was {reference.dtype}, is {current.dtype}"
        yield _finding("type", reference.name, status="failed", detail=detail)
        return
    if not enough or not reference.rows:
        return
    if reference.values and not current.values and current.rows * reference.values / reference.rows > _EXPECTED:
        detail = f"no value at all; {reference.values / reference.rows:.1%} of the reference had one"
        yield _finding("no_value", reference.name, score=1, status="failed", detail=detail)
        return
    yield _increase("null_share", reference, current, limit=limits.null_increase)
    if isinstance(reference, NumericDigest) and isinstance(current, NumericDigest):
        yield _increase("non_finite_share", reference, current, limit=limits.null_increase)
    if reference.values and current.values:
        yield from _constant(reference, current)
        if isinstance(reference, CategoryDigest) and isinstance(current, CategoryDigest):
            yield _new_categories(reference, current, limit=limits.new_category_share)


def _increase(check: str, reference: ColumnDigest, current: ColumnDigest, *, limit: float) -> Finding:
    before, after = (
        column.nulls if check == "null_share" else getattr(column, "non_finite", 0) for column in (reference, current)
    )
    pooled = (before + after) / (reference.rows + current.rows)
    score = after / current.rows - before / reference.rows
    threshold = max(limit, _chance(pooled, reference.rows, current.rows))
    return _finding(
        check,
        reference.name,
        score=score,
        threshold=threshold,
        status="failed" if score > threshold else "passed",
        detail=f"{before / reference.rows:.1%} of the reference's rows, now {after / current.rows:.1%}",
    )


def _chance(share: float, reference_rows: int, current_rows: int) -> float:
    variance = max(share * (1 - share), 0.0) * (1 / reference_rows + 1 / current_rows)
    return float(CHANCE * variance**0.5)


def _constant(reference: ColumnDigest, current: ColumnDigest) -> Iterator[Finding]:
    value = _only_value(current)
    if value is None or _only_value(reference) is not None:
        return
    share = _share_of(value, reference)
    if current.values * (1 - share) > _EXPECTED:
        detail = f"every row is {value}; at most {share:.1%} of the reference were"
        yield _finding("constant", reference.name, score=1, threshold=share, status="failed", detail=detail)


def _only_value(column: ColumnDigest) -> float | str | None:
    if isinstance(column, NumericDigest):
        return column.min if column.min == column.max else None
    if isinstance(column, CategoryDigest) and len(column.levels) == 1 and not column.other:
        return column.levels[0][0]
    return None


def _share_of(value: float | str, column: ColumnDigest) -> float:
    if isinstance(column, NumericDigest):
        # One point more than seen: a share is known to one point only.
        points = len(column.quantiles)
        return min(1.0, (sum(point == value for point in column.quantiles) + 1) / points)
    if isinstance(column, CategoryDigest):
        return dict(column.levels).get(str(value), column.other) / column.values
    return 1.0


def _new_categories(reference: CategoryDigest, current: CategoryDigest, *, limit: float) -> Finding:
    known = {level for level, _ in reference.levels}
    seen = sum(rows for level, rows in current.levels if level in known)
    uncounted = reference.other / reference.values
    score = max(0.0, 1 - seen / current.values - uncounted)
    unseen, variance = _unseen_mass(reference)
    threshold = max(limit, unseen + CHANCE * (variance + unseen * (1 - unseen) / current.values) ** 0.5)
    names = [level for level, _ in current.levels if level not in known][:5]
    detail = f"{score:.1%} of the values are of levels that the reference lacks" if score else "no new level"
    if score and names:
        detail += ": " + ", ".join(repr(name) for name in names)
    return _finding(
        "new_category_share",
        reference.name,
        score=score,
        threshold=threshold,
        status="failed" if score > threshold else "passed",
        detail=detail,
    )


def _unseen_mass(column: CategoryDigest) -> tuple[float, float]:
    """Return the share of values whose level the sample has not met, by Good and Turing, and its variance.

    Levels seen once tell of those never seen; the variance is Robbins' (levels seen once, and twice).
    Levels that were not kept are taken for such as were seen once; one more is added, since none seen
    once does not prove that none is missing.
    """
    once, twice = (sum(rows == times for _, rows in column.levels) for times in (1, 2))
    once += column.other + 1
    return min(1.0, once / column.values), (once + 2 * twice) / column.values**2

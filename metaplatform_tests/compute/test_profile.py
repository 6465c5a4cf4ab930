"""The gate before drift: each fault of the data is named, and chance raises none."""

import datetime as dt
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from metaplatform.compute.digest import Digest, digest
from metaplatform.compute.findings import Finding
from metaplatform.compute.profile import profile, unjudgeable
from metaplatform.specs.entities.monitoring import ProfileLimits

CONNECTION = ibis.duckdb.connect()
ROWS = 1_000
NUMBERS = np.random.default_rng(0).normal(size=ROWS)


def digest_of(**columns: Any) -> Digest:
    return digest(CONNECTION.create_table("data", pa.table(columns), overwrite=True))


def found(reference: Digest, current: Digest, *, min_rows: int = 300, **limits: float) -> dict[str, Finding]:
    """Return the findings that did not pass, by check."""
    findings = profile(reference, current, ProfileLimits(**limits), min_rows=min_rows)
    return {finding.check: finding for finding in findings if finding.status != "passed"}


def nulled(values: Any, share: float) -> pa.Array:
    return pa.array(values, mask=np.arange(len(values)) < share * len(values))


def test_the_same_data_pass_with_every_share_reported() -> None:
    same = digest_of(x=NUMBERS, c=["a", "b"] * (ROWS // 2))
    findings = profile(same, same, ProfileLimits(), min_rows=300)
    assert {finding.status for finding in findings} == {"passed"}
    assert [(finding.check, finding.column) for finding in findings] == [
        ("profile", ""),
        ("rows", ""),
        ("null_share", "x"),
        ("non_finite_share", "x"),
        ("null_share", "c"),
        ("new_category_share", "c"),
    ]


def test_no_rows_is_a_failure_and_few_rows_are_too_little_to_judge() -> None:
    reference = digest_of(x=NUMBERS)
    nothing = found(reference, digest_of(x=pa.array([], pa.float64())))
    assert {check: finding.status for check, finding in nothing.items()} == {"profile": "failed", "rows": "failed"}
    one = found(reference, digest_of(x=pa.array([None], pa.float64())))
    assert {check: finding.status for check, finding in one.items()} == {"profile": "skipped", "rows": "skipped"}
    assert "too few to judge" in one["profile"].detail


def test_a_missing_column_fails_even_among_few_rows_and_a_new_one_is_only_named() -> None:
    wrong = found(digest_of(x=NUMBERS), digest_of(y=NUMBERS[:5]))
    assert (wrong["missing_column"].column, wrong["missing_column"].status) == ("x", "failed")
    assert (wrong["new_column"].column, wrong["new_column"].status) == ("y", "skipped")
    assert (wrong["profile"].status, wrong["profile"].detail) == ("failed", "x")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.arange(ROWS), np.arange(ROWS).astype(str)),
        (["a"] * ROWS, np.arange(ROWS)),
        (NUMBERS, [dt.date(2013, 1, 1)] * ROWS),
    ],
)
def test_a_changed_type_is_the_only_thing_said_of_its_column(before: Any, after: Any) -> None:
    wrong = found(digest_of(x=before), digest_of(x=after))
    assert set(wrong) == {"profile", "type"}
    assert wrong["type"].status == "failed"


def test_a_wider_type_of_the_same_kind_is_no_fault() -> None:
    whole = np.arange(ROWS) % 7
    assert found(digest_of(x=whole.astype(np.int16)), digest_of(x=whole.astype(np.float64))) == {}


def test_half_of_a_column_becoming_null_fails_at_its_share() -> None:
    wrong = found(digest_of(x=nulled(NUMBERS, 0.05)), digest_of(x=nulled(NUMBERS, 0.5)))
    assert set(wrong) == {"profile", "null_share"}
    assert (wrong["null_share"].score, wrong["null_share"].threshold) == (pytest.approx(0.45), 0.2)
    assert wrong["null_share"].detail == "5.0% of the reference's rows, now 50.0%"


def test_fewer_nulls_than_before_are_no_fault() -> None:
    assert found(digest_of(x=nulled(NUMBERS, 0.9)), digest_of(x=NUMBERS)) == {}


def test_a_column_without_any_value_fails_once_whatever_its_type() -> None:
    empty = pa.array([None] * ROWS, pa.string())
    wrong = found(digest_of(x=NUMBERS, c=["a", "b"] * (ROWS // 2)), digest_of(x=empty, c=empty))
    assert set(wrong) == {"profile", "no_value"}
    assert wrong["profile"].detail == "c, x"


def test_a_column_that_never_had_values_is_no_fault() -> None:
    empty = digest_of(x=pa.array([None] * ROWS, pa.float64()))
    assert found(empty, empty) == {}
    assert found(empty, digest_of(x=NUMBERS)) == {}


def test_a_column_rarely_filled_may_be_empty_for_once() -> None:
    rare = digest_of(x=nulled(NUMBERS, 0.998))
    assert found(rare, digest_of(x=pa.array([None] * ROWS, pa.float64()))) == {}


@pytest.mark.parametrize("value", [0.0, -3.5, "a"])
def test_a_column_that_became_constant_fails(value: float | str) -> None:
    before = ["a", "b"] * (ROWS // 2) if isinstance(value, str) else NUMBERS
    wrong = found(digest_of(x=before), digest_of(x=[value] * ROWS))
    assert set(wrong) == {"profile", "constant"}
    assert f"every row is {value}" in wrong["constant"].detail


@pytest.mark.parametrize("constant", [1.0, "a"])
def test_a_column_that_always_was_constant_is_no_fault(constant: float | str) -> None:
    same = digest_of(x=[constant] * ROWS)
    assert found(same, same) == {}


def test_a_rare_event_may_stay_out_for_once() -> None:
    rare = np.zeros(ROWS)
    rare[:2] = 1
    assert found(digest_of(x=rare), digest_of(x=np.zeros(400))) == {}


def test_a_new_category_fails_over_its_share_and_is_named() -> None:
    reference = digest_of(c=["a", "b"] * (ROWS // 2))
    changed = [*(["new"] * 150), *(["a"] * (ROWS - 150))]
    wrong = found(reference, digest_of(c=changed))
    assert wrong["new_category_share"].score == pytest.approx(0.15)
    assert "'new'" in wrong["new_category_share"].detail
    assert found(reference, digest_of(c=changed), new_category_share=0.2) == {}


@pytest.mark.parametrize("levels", [20, 200, 2_000, 20_000])
@pytest.mark.parametrize(("before", "after"), [(300, 300), (300, 5_000), (5_000, 5_000)])
def test_rare_levels_that_a_small_reference_missed_raise_no_alarm(levels: int, before: int, after: int) -> None:
    weights = 1 / np.arange(1, levels + 1)
    generator = np.random.default_rng([levels, before, after])
    samples = (
        generator.choice(levels, size=rows, p=weights / weights.sum()).astype(str) for rows in (before, after) * 10
    )
    digests = [digest_of(c=sample) for sample in samples]
    alarms = [found(*pair) for pair in zip(digests[::2], digests[1::2], strict=True)]
    assert [alarm for alarm in alarms if alarm] == []


def test_values_that_are_not_finite_fail_over_the_share_of_nulls_allowed() -> None:
    broken = NUMBERS.copy()
    broken[:300] = np.inf
    wrong = found(digest_of(x=NUMBERS), digest_of(x=broken))
    assert set(wrong) == {"profile", "non_finite_share"}
    assert wrong["non_finite_share"].score == pytest.approx(0.3)
    assert found(digest_of(x=NUMBERS), digest_of(x=broken), null_increase=0.4) == {}


def test_hostile_text_cannot_leave_a_finding() -> None:
    wrong = found(digest_of(c=["a"] * ROWS), digest_of(c=["<script>|\n"] * ROWS))
    assert "\n" not in wrong["new_category_share"].detail


def test_a_column_says_why_it_cannot_be_judged() -> None:
    reference = digest_of(x=NUMBERS, c=["a"] * ROWS, day=[dt.date(2013, 1, 1)] * ROWS)
    x, c, day = reference.columns
    few = digest_of(x=nulled(NUMBERS, 0.9)).columns[0]
    assert unjudgeable(x, x, min_values=300) == ""
    assert unjudgeable(None, x, min_values=1) == "missing in the reference data"
    assert unjudgeable(x, None, min_values=1) == "missing in the current data"
    assert unjudgeable(x, c, min_values=1) == "was float64, is string"
    assert unjudgeable(day, day, min_values=1) == "date has no measure of drift"
    assert unjudgeable(x, few, min_values=300) == "100 values in the current data, 300 needed"

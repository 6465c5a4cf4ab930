"""How much of an input one partition is made from."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import EARLIEST, LATEST, Window
from metaplatform.specs.fields.reads import (
    AS_MADE,
    SAME,
    WHOLE,
    Reach,
    from_any_row,
    looked_back,
    rows_followed,
)

START = datetime(2024, 3, 1, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))
WEEK, MONTH, TWO_DAYS = Duration(seconds=7 * 86_400), Duration(months=1), Duration(seconds=2 * 86_400)
ALL = Window(EARLIEST, LATEST)


def from_to(start: int, end: int) -> Window:
    """Return the window between days before or after the first of March."""
    return Window(START + timedelta(days=start), START + timedelta(days=end))


@pytest.mark.parametrize(
    ("reach", "window"),
    [
        (SAME, DAY),
        (WHOLE, ALL),
        (AS_MADE, ALL),
        (Reach("span"), DAY),
        (Reach("span", (WEEK,)), from_to(-7, 1)),
        (Reach("span", (WEEK, TWO_DAYS)), from_to(-9, 1)),
        (Reach("span", (MONTH,)), from_to(-29, 1)),
        (Reach("span", (), WEEK), from_to(0, 8)),
        (Reach("span", (WEEK,), delay=TWO_DAYS), from_to(-7, -1)),
        (Reach("span", (), delay=TWO_DAYS), from_to(0, 0)),
        (Reach("span", (WEEK,), delay=MONTH), from_to(-7, 1)),
        (Reach("span", None), Window(EARLIEST, DAY.end)),
    ],
)
def test_what_a_partition_may_read(reach: Reach, window: Window) -> None:
    assert reach.interval(DAY) == window


@given(st.integers(-40, 40), st.integers(0, 40), st.integers(-40, 40), st.integers(0, 40))
def test_windows_overlap_if_and_only_if_a_day_lies_in_both(one: int, length: int, other: int, width: int) -> None:
    first, second = from_to(one, one + length), from_to(other, other + width)
    both = set(range(one, one + length)) & set(range(other, other + width))
    if length and width:
        assert first.overlaps(second) == second.overlaps(first) == bool(both)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 — naive by API
       st.integers(0, 40), st.integers(1, 30))  # fmt: skip
def test_from_any_row_reaches_as_far_back_as_from_each_row_in_the_window(
    start: datetime, months: int, days: int
) -> None:
    window, span = Window(start, start + timedelta(days=days)), Duration(months=months)
    reached = looked_back(window, back=(span,))
    assert reached.end == window.end
    for row in range(days):
        assert reached.start <= span.before(start + timedelta(days=row))


def test_only_months_move_more_than_their_length() -> None:
    assert from_any_row((WEEK,)) == (WEEK,)
    assert len(from_any_row((WEEK, MONTH))) == 3


def test_rows_are_followed_of_all_but_models_and_what_counts_as_it_was() -> None:
    reads = {"raw.a": (SAME, AS_MADE), "raw.b": (AS_MADE,), "models.m": (WHOLE,)}
    assert rows_followed("predictions.p", reads) == {"raw.a": (SAME,)}
    assert rows_followed("models.m", reads) == {}

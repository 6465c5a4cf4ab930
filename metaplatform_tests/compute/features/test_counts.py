"""What counts is 0 over an empty window, in whatever words; what sums or averages is null."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

INSTANT = pa.timestamp("us", "UTC")
NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
VISITS = {"who": pa.string(), "seen": INSTANT, "pages": pa.int64(), "bought": pa.bool_()}


def counted(book: Any, sql: str) -> list[Any]:
    """Return the feature for a row with visits, one whose visits say nothing of a purchase, one without any."""
    orders = [(1, "a", NOON), (2, "b", NOON), (3, "c", NOON)]
    book.add("o", {"id": pa.int64(), "who": pa.string(), "at": INSTANT}, orders, key=["id"], at="at")
    before = [NOON - timedelta(hours=hours) for hours in (1, 2, 3)]
    visits = [
        ("a", before[0], 2, True),
        ("a", before[1], 2, False),
        ("a", before[2], 3, True),
        ("b", before[0], 1, None),
    ]
    book.add("v", VISITS, visits, at="seen")
    block = {"kind": "window", "table": "raw.v", "on": {"who": "who"}, "window": "1 day", "columns": {"n": sql}}
    return book.values("n", "o", block)


@pytest.mark.parametrize(
    ("sql", "right"),
    [
        ("count(*)", [3, 1, 0]),
        ("count_if(bought)", [2, 0, 0]),
        ("countif(bought)", [2, 0, 0]),
        ("count_if(bought) filter (where pages > 2)", [1, 0, 0]),
        ("count_if(bought and pages < 3)", [1, 0, 0]),
        ("count(distinct pages)", [2, 1, 0]),
        ("approx_count_distinct(pages)", [2, 1, 0]),
        ("count(bought)", [3, 0, 0]),
        ("count(*) filter (where bought)", [2, 0, 0]),
        ("2 * count_if(bought) + count(*)", [7, 1, 0]),
        ("count_if(bought) / count(*)", [pytest.approx(2 / 3), 0, None]),
        ("sum(bought::integer)", [2, None, None]),
        ("avg(pages)", [pytest.approx(7 / 3), 1, None]),
    ],
)
def test_what_counts_is_zero_over_no_rows(book: Any, sql: str, right: list[Any]) -> None:
    assert counted(book, sql) == right


def test_a_row_counts_the_rows_of_its_own_table_in_the_same_way(book: Any) -> None:
    rows = [(1, "a", NOON, True), (2, "a", NOON + timedelta(hours=1), False), (3, "b", NOON, True)]
    book.add("o", {"id": pa.int64(), "who": pa.string(), "at": INSTANT, "big": pa.bool_()}, rows, key=["id"], at="at")
    block = {"kind": "window", "table": "raw.o", "on": {"who": "who"}, "window": "1 day"}
    assert book.values("n", "o", {**block, "columns": {"n": "count_if(big)"}}) == [0, 1, 0]

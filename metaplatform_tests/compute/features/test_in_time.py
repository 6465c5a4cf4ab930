"""As-of joins and windows: exact values at the borders, on small tables."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from metaplatform.specs.fields.partitions import Window

INSTANT = pa.timestamp("us", "UTC")
SPINE = {"id": pa.int64(), "k": pa.string(), "at": INSTANT}
PAST = {"k": pa.string(), "at": INSTANT, "v": pa.int64()}
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def as_of(table: str = "past", **settings: Any) -> dict[str, Any]:
    return {"kind": "as_of", "table": f"raw.{table}", "on": {"k": "k"}, "columns": {"fact": "v"}} | settings


def window(table: str = "past", **settings: Any) -> dict[str, Any]:
    block = {"kind": "window", "table": f"raw.{table}", "on": {"k": "k"}, "window": "10 minutes"}
    return block | {"columns": {"total": "sum(v)", "number": "count(*)"}} | settings


def spine(book: Any, *moments: tuple[str | None, float | None]) -> None:
    rows = [(n, k, None if at is None else minutes(at)) for n, (k, at) in enumerate(moments)]
    book.add("s", SPINE, rows, key=["id"], at="at")


def past(book: Any, *rows: tuple[str | None, float | None, int | None], key: tuple[str, ...] = ()) -> None:
    book.add("past", PAST, [(k, None if at is None else minutes(at), v) for k, at, v in rows], key=key, at="at")


def test_as_of_takes_the_latest_row_strictly_before(book: Any):
    past(book, ("a", 0, 1), ("a", 5, 2), ("a", 9, 3))
    spine(book, ("a", 0), ("a", 0.001), ("a", 5), ("a", 9), ("a", 100), ("b", 100))
    assert book.values("fact", "s", as_of()) == [None, 1, 1, 2, 3, None]


def test_as_of_a_row_counts_only_once_it_is_known(book: Any):
    past(book, ("a", 0, 1), ("a", 5, 2))
    spine(book, ("a", 9), ("a", 10), ("a", 10.001), ("a", 15), ("a", 15.001))
    assert book.values("fact", "s", as_of(delay="10 minutes")) == [None, None, 1, 1, 2]


def test_as_of_a_row_is_too_old_after_within_by_its_own_timestamp(book: Any):
    past(book, ("a", 0, 1))
    spine(book, ("a", 20), ("a", 20.001))
    assert book.values("fact", "s", as_of(delay="10 minutes", within="20 minutes")) == [1, None]


def test_as_of_a_latest_row_of_null_is_null(book: Any):
    past(book, ("a", 0, 1), ("a", 5, None))
    spine(book, ("a", 6))
    assert book.values("fact", "s", as_of()) == [None]


@pytest.mark.parametrize("block", [as_of(), window(columns={"fact": "max(v)"})])
def test_nulls_in_keys_and_moments_match_nothing_and_lose_no_row(book: Any, block: dict[str, Any]):
    past(book, (None, 0, 1), ("a", None, 2))
    spine(book, (None, 5), ("a", 5), ("a", None), (None, None))
    assert book.values("fact", "s", block) == [None] * 4


def test_as_of_ties_are_broken_by_the_row_key_or_else_by_the_facts(book: Any):
    columns = PAST | {"n": pa.int64()}
    rows = [("a", NOON, 9, 1), ("a", NOON, 3, 2), ("a", NOON, None, 0)]
    spine(book, ("a", 1))
    book.add("past", columns, rows, key=["n"], at="at")
    assert book.build("s", as_of(columns={"fact": "v", "which": "n"}))[0] == {
        "id": 0,
        "at": minutes(1),
        "fact": 3,
        "which": 2,
    }
    for order in (rows, rows[::-1]):
        book.add("past", columns, order, at="at")
        assert len(book.build("s", as_of())) == 1
    assert len({tuple(book.values("fact", "s", as_of())) for _ in range(3)}) == 1


def test_a_window_is_closed_at_its_start_and_open_at_its_end(book: Any):
    past(book, ("a", 0, 1), ("a", 5, 10), ("a", 10, 100))
    spine(book, ("a", 0), ("a", 5), ("a", 10), ("a", 10.001), ("a", 15), ("a", 20), ("a", 20.001))
    assert book.values("total", "s", window()) == [None, 1, 11, 110, 110, 100, None]
    assert book.values("number", "s", window()) == [0, 1, 2, 2, 2, 1, 0]


def test_a_window_waits_for_the_delay_and_ends_that_much_earlier(book: Any):
    past(book, ("a", 0, 1), ("a", 5, 10))
    spine(book, ("a", 5), ("a", 5.001), ("a", 10), ("a", 10.001), ("a", 15), ("a", 15.001), ("a", 20), ("a", 20.001))
    block = window(delay="5 minutes")
    assert book.values("total", "s", block) == [None, 1, 1, 11, 11, 10, 10, None]


@pytest.mark.parametrize("delay", ["0 seconds", "3 minutes"])
def test_a_window_over_the_spine_itself_equals_one_over_a_copy(book: Any, delay: str):
    """The spine's own rows are their own probes; a copy of the table takes the general way."""
    rows = [(n, ("a", "b", None)[n % 3], None if n % 11 == 0 else minutes(n // 2 * 1.5), n) for n in range(60)]
    for name in ("s", "past"):
        book.add(name, SPINE | {"v": pa.int64()}, rows, key=["id"], at="at")
    columns = {"total": "sum(v)", "number": "count(*)", "share": "sum(v) / nullif(count(*), 0)", "low": "min(v)"}
    own = book.build("s", window("s", delay=delay, columns=columns, where="v % 2 = 0"))
    general = book.build("s", window("past", delay=delay, columns=columns, where="v % 2 = 0"))
    assert own == general
    assert len(own) == 60


def test_aggregates_over_no_rows_are_what_sql_says(book: Any):
    past(book)
    spine(book, ("a", 0), (None, 0))
    columns = {"n": "count(*)", "m": "avg(v)", "c": "coalesce(sum(v), -1)", "s": "stddev(v)", "d": "count(distinct v)"}
    expected = {"n": 0, "m": None, "c": -1.0, "s": None, "d": 0}
    for row in book.build("s", window(columns=columns)):
        assert {name: row[name] for name in columns} == expected


def test_any_aggregate_expression_works_in_a_window(book: Any):
    past(book, ("a", 0, 4), ("a", 1, None), ("a", 2, 6), ("a", 3, 6))
    spine(book, ("a", 5))
    columns = {
        "share_null": "avg((v is null)::integer)",
        "ratio": "sum(v)::double / nullif(count(*), 0)",
        "spread": "max(v) - min(v)",
        "median": "median(v)",
        "p90": "quantile_cont(v, 0.9)",
        "distinct_values": "count(distinct v)",
        "sixes": "count(*) filter (where v = 6)",
        "last_value": "arg_max(v, at)",
        "entropy_bits": "entropy(v)",
        "rounded": "round(stddev_pop(v), 6)",
    }
    row = book.build("s", window(columns=columns))[0]
    assert {name: row[name] for name in columns} == {
        "share_null": 0.25,
        "ratio": 4.0,
        "spread": 2,
        "median": 6.0,
        "p90": 6.0,
        "distinct_values": 2,
        "sixes": 2,
        "last_value": 6,
        "entropy_bits": pytest.approx(0.918296, abs=1e-6),
        "rounded": 0.942809,
    }


def test_a_condition_keeps_some_rows_only(book: Any):
    past(book, ("a", 0, 1), ("a", 1, 10), ("a", 2, 100))
    spine(book, ("a", 5))
    block = window(where="v > 5", columns={"all": "sum(v)", "big": "count(*) filter (where v > 50)"})
    assert book.build("s", block)[0] == {"id": 0, "at": minutes(5), "all": 110.0, "big": 1}


def test_blocks_sorted_together_keep_their_own_windows_conditions_and_scope(book: Any):
    past(book, ("a", 0, 1), ("a", 8, 10))
    book.add("s", SPINE | {"total": pa.int64()}, [(0, "a", minutes(10), 5)], key=["id"], at="at")
    rows = book.build(
        "s",
        window(columns={"short": "sum(v)"}, window="3 minutes"),
        {"kind": "expression", "columns": {"own_total": "total"}},
        window(columns={"total": "sum(v)"}, window="10 minutes"),
        window(columns={"some": "count(*)"}, where="v > 5"),
        {"kind": "expression", "columns": {"window_total": "total"}},
    )
    assert rows == [
        {"id": 0, "at": minutes(10), "short": 10.0, "own_total": 5, "total": 11.0, "some": 1, "window_total": 11.0}
    ]


def test_a_key_may_be_a_feature_above(book: Any):
    past(book, ("a", 0, 1))
    spine(book, ("A!", 5))
    key = {"kind": "expression", "columns": {"clean": "lower(left(k, 1))"}}
    on = {"clean": "k"}
    assert book.values("fact", "s", key, as_of(on=on)) == [1]
    assert book.values("total", "s", key, window(on=on)) == [1]
    assert book.values("total", "s", window(), key, window(on=on, columns={"late": "sum(v)"})) == [None]


def test_a_spine_that_windows_look_up_by_its_features_is_computed_once(book: Any):
    past(book, ("a", 0, 1))
    spine(book, ("A!", 5))
    key = {"kind": "expression", "columns": {"clean": "lower(left(k, 1))"}}
    blocks = [window(on={"clean": "k"}, columns={f"n{n}": "count(*)"}, delay=f"{n} minutes") for n in range(6)]
    query = book.features("s", key, *blocks)
    assert query.compile().count("AS MATERIALIZED") == len(blocks)
    assert [row["n4"] for row in query.to_pyarrow().to_pylist()] == [1]


def test_months_are_calendar_months_of_utc(book: Any):
    book.add("past", PAST, [("a", datetime(2024, 1, 31, 10, tzinfo=UTC), 1)], at="at")
    moments = [datetime(2024, *rest, tzinfo=UTC) for rest in ((2, 29, 10), (2, 29, 10, 1), (3, 31, 10), (4, 1))]
    book.add("s", SPINE, [(n, "a", at) for n, at in enumerate(moments)], key=["id"], at="at")
    assert book.values("fact", "s", as_of(delay="1 month")) == [None, 1, 1, 1]
    assert book.values("fact", "s", as_of(within="1 month")) == [1, None, None, None]
    assert book.values("number", "s", window(window="2 months")) == [1, 1, 1, 0]
    assert book.values("number", "s", window(window="1 month", delay="1 month")) == [0, 1, 1, 0]


def test_daylight_saving_moves_no_window(book: Any):
    """In New York, 2024-03-10 has 23 hours; a day is 24 all the same, whatever the session's time zone."""
    start = datetime(2024, 3, 10, 5, tzinfo=UTC)
    book.add("past", PAST, [("a", start, 1)], at="at")
    hours = (23, 24, 25)
    rows = [(n, "a", start + timedelta(hours=h)) for n, h in enumerate(hours)]
    book.add("s", SPINE, rows, key=["id"], at="at")
    assert book.values("number", "s", window(window="1 day")) == [1, 1, 0]
    assert book.values("fact", "s", as_of(within="1 day")) == [1, 1, None]
    assert book.values("fact", "s", as_of(delay="1 day")) == [None, None, 1]


def test_windows_and_as_of_joins_see_what_lies_before_the_spines_window(book: Any):
    rows = [(n, "a", minutes(n), n) for n in range(20)]
    for name in ("s", "past"):
        book.add(name, SPINE | {"v": pa.int64()}, rows, key=["id"], at="at")
    blocks = [as_of(), window(), window("s", columns={"own": "sum(v)"})]
    whole = book.build("s", *blocks)
    assert book.build("s", *blocks, window=Window(minutes(15), minutes(18))) == whole[15:18]


def test_late_data_changes_only_rows_that_could_have_known_it(book: Any):
    spine(book, ("a", 5), ("a", 8), ("a", 30))
    past(book, ("a", 0, 1))
    before = book.values("total", "s", window())
    past(book, ("a", 0, 1), ("a", 6, 10))
    assert before == [1, 1, None]
    assert book.values("total", "s", window()) == [1, 11, None]

"""Properties of features over time: equal to a naive reading of the rules, and blind to what is not yet known."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.specs.fields.partitions import Window

INSTANT = pa.timestamp("us", "UTC")
START = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = {"id": pa.int64(), "k": pa.string(), "at": INSTANT, "v": pa.int64()}

keys = st.sampled_from(["a", "b", None])
minute = st.one_of(st.none(), st.integers(0, 20))
rows = st.lists(st.tuples(keys, minute, st.one_of(st.none(), st.integers(-5, 5))), max_size=14)
delays = st.sampled_from([0, 1, 4])
spans = st.sampled_from([1, 3, 10])

Row = tuple[str | None, int | None, int | None]


def moment(at: int | None) -> datetime | None:
    return None if at is None else START + timedelta(minutes=at)


def add(book: Any, name: str, drawn: list[Row]) -> None:
    numbered = [(n, k, moment(at), v) for n, (k, at, v) in enumerate(drawn)]
    book.add(name, COLUMNS, numbered, key=["id"], at="at")


def blocks(delay: int, span: int, within: int, *, past: str = "past") -> list[dict[str, Any]]:
    joined = {"table": f"raw.{past}", "on": {"k": "k"}, "delay": f"{delay} minutes"}
    columns = {"total": "sum(v)", "number": "count(*)", "mean": "avg(v)"}
    return [
        {"kind": "as_of", **joined, "within": f"{within} minutes", "columns": {"latest": "v", "which": "id"}},
        {"kind": "window", **joined, "window": f"{span} minutes", "columns": columns},
        {"kind": "window", **joined, "window": f"{span + 2} minutes", "where": "v > 0", "columns": {"up": "sum(v)"}},
    ]


def known(row: Row, past: list[Row], delay: int) -> list[tuple[int, int, int | None]]:
    """Return (moment, number, value) of the rows of the past that are known at the spine row's moment."""
    key, now, _ = row
    if key is None or now is None:
        return []
    return [(at, n, v) for n, (k, at, v) in enumerate(past) if k == key and at is not None and at + delay < now]


def expected(row: Row, past: list[Row], delay: int, span: int, within: int) -> dict[str, Any]:
    now = row[1] or 0
    seen = known(row, past, delay)
    latest = max(seen, default=None, key=lambda each: each[:2])
    if latest and latest[0] + within < now:
        latest = None
    inside = [v for at, _, v in seen if at + delay >= now - span]
    values = [v for v in inside if v is not None]
    wide = [v for at, _, v in seen if at + delay >= now - span - 2 and v is not None and v > 0]
    return {
        "latest": latest[2] if latest else None,
        "which": latest[1] if latest else None,
        "total": sum(values) if values else None,
        "number": len(inside),
        "mean": sum(values) / len(values) if values else None,
        "up": sum(wide) if wide else None,
    }


@settings(max_examples=40)
@given(spine=rows, past=rows, delay=delays, span=spans, within=spans)
def test_joins_in_time_equal_a_naive_reading(
    book: Any, spine: list[Row], past: list[Row], delay: int, span: int, within: int
):
    add(book, "s", spine)
    add(book, "past", past)
    built = book.build("s", *blocks(delay, span, within))
    wanted = [expected(row, past, delay, span, within) for row in spine]
    assert [{name: row[name] for name in wanted[0]} for row in built] == wanted


@settings(max_examples=25)
@given(spine=rows, delay=delays, span=spans, within=spans)
def test_a_table_joined_to_itself_in_time_equals_a_naive_reading(
    book: Any, spine: list[Row], delay: int, span: int, within: int
):
    add(book, "s", spine)
    built = book.build("s", *blocks(delay, span, within, past="s"))
    wanted = [expected(row, spine, delay, span, within) for row in spine]
    assert [{name: row[name] for name in wanted[0]} for row in built] == wanted


@settings(max_examples=25)
@given(spine=rows, past=rows, delay=delays, changed=st.data())
def test_rows_not_yet_known_change_nothing(book: Any, spine: list[Row], past: list[Row], delay: int, changed: Any):
    """Whatever is added, changed or taken away at or after a moment is invisible to rows of that moment."""
    now = changed.draw(st.integers(0, 21))
    later = st.tuples(keys, st.integers(max(0, now - delay), 25), st.integers(-5, 5))
    kept = [row for row in past if row[1] is None or row[1] + delay < now]
    other = changed.draw(st.lists(later, max_size=8))
    add(book, "s", spine)
    add(book, "past", past)
    before = book.build("s", *blocks(delay, 5, 5))
    # Numbers of rows are their key, and so break ties: those that stay keep theirs.
    add(book, "past", [row if row in kept else (None, None, None) for row in past] + other)
    after = book.build("s", *blocks(delay, 5, 5))
    early = [n for n, (_, at, _) in enumerate(spine) if at is not None and at <= now]
    assert [before[n] for n in early] == [after[n] for n in early]


@settings(max_examples=20)
@given(spine=rows, past=rows, delay=delays, cut=st.integers(0, 21))
def test_partitions_one_by_one_equal_the_whole(book: Any, spine: list[Row], past: list[Row], delay: int, cut: int):
    add(book, "s", spine)
    add(book, "past", past)
    features = [*blocks(delay, 5, 5), {**blocks(delay, 4, 4, past="s")[1], "columns": {"own": "sum(v)"}}]
    whole = [row for row in book.build("s", *features) if row["at"] is not None]
    middle = START + timedelta(minutes=cut)
    parts = [
        row
        for window in (Window(START, middle), Window(middle, START + timedelta(days=1)))
        for row in book.build("s", *features, window=window)
    ]
    assert sorted(parts, key=lambda row: row["id"]) == whole


@settings(max_examples=20)
@given(spine=rows, past=rows, delay=delays)
def test_a_row_alone_has_the_features_it_has_among_others(book: Any, spine: list[Row], past: list[Row], delay: int):
    add(book, "past", past)
    for number, row in enumerate(spine[:3]):
        add(book, "s", spine)
        among = book.build("s", *blocks(delay, 5, 5))[number]
        add(book, "s", [row])
        alone = book.build("s", *blocks(delay, 5, 5))[0]
        assert {**alone, "id": number} == among

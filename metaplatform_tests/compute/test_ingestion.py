"""Rows of files: typed, derived, quarantined with every reason, seen by now, and profiled by partition."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from metaplatform.compute.chosen_rows import visible
from metaplatform.compute.ingestion import MOMENT, REASON, Conformed, conform
from metaplatform.compute.partition_profiles import partition_profiles
from metaplatform.errors import DataError
from metaplatform.specs.entities.csv_source import CsvSource
from metaplatform.specs.fields.partitions import PartitionSpec, Window

INSTANT = pa.timestamp("us", "UTC")


@pytest.fixture(scope="module")
def connection() -> Iterator[Backend]:
    backend = ibis.duckdb.connect()
    backend.raw_sql("SET TimeZone = 'UTC'")
    yield backend
    backend.disconnect()


def source(**fields: Any) -> CsvSource:
    return CsvSource.model_validate({"name": "orders", "kind": "csv", "path": "orders.csv"} | fields)


def table(connection: Backend, columns: dict[str, list[Any]], kind: pa.DataType | None = None) -> ibis.Table:
    arrays = {name: pa.array(values, kind or pa.string()) for name, values in columns.items()}
    return connection.create_table("file", pa.table(arrays), overwrite=True)


def rows(result: ibis.Table) -> list[dict[str, Any]]:
    return result.to_pyarrow().to_pylist()


def reasons(conformed: Conformed) -> list[str]:
    return sorted(row[REASON] for row in rows(conformed.quarantined))


def test_text_becomes_the_declared_types_in_declared_order(connection: Backend):
    raw = table(connection, {"B": ["2024-01-01", None], "a": ["1", " 2 "]})
    conformed = conform(raw, source(columns={"a": "bigint", "b": "date"}))
    assert conformed.accepted.to_pyarrow().schema.types == [pa.int64(), pa.date32()]
    assert [(row["a"], str(row["b"])) for row in rows(conformed.accepted)] == [(1, "2024-01-01"), (2, "None")]
    assert reasons(conformed) == []


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
@pytest.mark.parametrize("written", ["2024-10-27T02:30:00+02:00", "2024-10-27 00:30:00", "2024-10-27T00:30:00Z"])
def test_text_with_an_offset_is_the_moment_it_says(connection: Backend, kind: str, written: str):
    raw = table(connection, {"at": [written], "also": [written]})
    conformed = conform(raw, source(columns={"at": kind, "also": kind}, event_timestamp="at"))
    (row,) = rows(conformed.accepted)
    assert row["at"] == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert row["also"].replace(tzinfo=UTC) == row["at"]


def test_moments_that_are_stored_as_one_are_one_in_a_key(connection: Backend):
    raw = table(connection, {"at": ["2024-01-01 10:00:00.0000001", "2024-01-01 10:00:00.0000002"], "k": ["a", "a"]})
    spec = source(columns={"at": "timestamp_ns", "k": "varchar"}, key=["k", "AT"], event_timestamp="at")
    conformed = conform(raw, spec)
    assert [row["at"] for row in rows(conformed.accepted)] == [datetime(2024, 1, 1, 10, tzinfo=UTC)]
    assert reasons(conformed) == ["key (k, AT) repeats an earlier row's"]


def test_a_row_that_does_not_fit_is_quarantined_as_text_with_every_reason(connection: Backend):
    raw = table(connection, {"a": ["1", "x" * 100], "b": ["2024-01-01", "soon"]})
    conformed = conform(raw, source(columns={"a": "integer", "b": "timestamptz"}))
    assert [row["a"] for row in rows(conformed.accepted)] == [1]
    reason = f"a: '{'x' * 80}' is not a valid integer; b: 'soon' is not a valid timestamptz"
    assert rows(conformed.quarantined) == [{"a": "x" * 100, "b": "soon", REASON: reason}]


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("integer", "1.5"),
        ("integer", "3000000000"),
        ("decimal(5,2)", "1.239"),
        ("date", "2024-01-01 10:30"),
        ("date", "2024-02-30"),
        ("boolean", "maybe"),
    ],
)
def test_a_value_that_its_type_would_change_is_quarantined(connection: Backend, declared: str, text: str):
    conformed = conform(table(connection, {"a": [text]}), source(columns={"a": declared}))
    assert rows(conformed.accepted) == []
    assert reasons(conformed) == [f"a: '{text}' is not a valid {declared}"]


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("integer", "1.0"),
        ("bigint", "9007199254740993"),
        ("decimal(5,2)", "1.2"),
        ("date", "2024-01-01 00:00"),
        ("double", "1e300"),
    ],
)
def test_a_value_that_its_type_keeps_is_accepted(connection: Backend, declared: str, text: str):
    conformed = conform(table(connection, {"a": [text]}), source(columns={"a": declared}))
    assert len(rows(conformed.accepted)) == 1


def test_typed_columns_are_held_to_the_declared_types_too(connection: Backend):
    raw = table(connection, {"a": [1.0, 1.7, None]}, pa.float64())
    conformed = conform(raw, source(columns={"a": "integer"}))
    assert [row["a"] for row in rows(conformed.accepted)] == [1, None]
    assert reasons(conformed) == ["a: '1.7' is not a valid integer"]


def test_nothing_is_cast_without_declared_columns(connection: Backend):
    raw = table(connection, {"a": ["1"], "_id": ["x"]})
    conformed = conform(raw, source())
    assert rows(conformed.accepted) == [{"a": "1", "_id": "x"}]
    assert rows(conformed.quarantined) == []


def test_new_columns_are_kept_after_the_declared_ones(connection: Backend):
    raw = table(connection, {"new": ["n"], "a": ["1"]})
    conformed = conform(raw, source(columns={"a": "integer"}, derive={"twice": "a * 2"}, contract="evolve"))
    assert list(rows(conformed.accepted)[0].items()) == [("a", 1), ("new", "n"), ("twice", 2)]


def test_a_missing_column_is_named(connection: Backend):
    with pytest.raises(DataError, match=r"raw\.orders: there is no column 'amount'"):
        conform(table(connection, {"amuont": ["1"]}), source(columns={"amount": "double"}))


def test_derived_columns_read_typed_columns_and_those_before_them(connection: Backend):
    raw = table(connection, {"Order ID": ["7"], "größe": ["2"]})
    spec = source(columns={"Order ID": "integer", "größe": "double"}, derive={"x": '"order id" + 1', "y": "x * größe"})
    assert rows(conform(raw, spec).accepted) == [{"Order ID": 7, "größe": 2.0, "x": 8, "y": 16.0}]


def test_a_derived_column_may_replace_a_declared_one(connection: Backend):
    raw = table(connection, {"a": ["ab"]})
    spec = source(columns={"a": "varchar"}, derive={"a": "upper(a)", "b": "a || '!'"})
    assert rows(conform(raw, spec).accepted) == [{"a": "AB", "b": "AB!"}]


def test_a_row_whose_derived_column_fails_is_quarantined_and_a_null_is_not(connection: Backend):
    raw = table(connection, {"a": ["1", "x", None]})
    spec = source(columns={"a": "varchar"}, derive={"b": "a::integer"})
    conformed = conform(raw, spec)
    assert rows(conformed.accepted) == [{"a": "1", "b": 1}, {"a": None, "b": None}]
    assert reasons(conformed) == ["b cannot be derived"]


def test_null_keys_and_event_timestamps_are_quarantined(connection: Backend):
    raw = table(connection, {"k": ["a", None, "c", "d"], "at": ["2024-01-01", "2024-01-01", None, "infinity"]})
    conformed = conform(raw, source(columns={"k": "varchar", "at": "timestamptz"}, key=["k"], event_timestamp="at"))
    assert [row["k"] for row in rows(conformed.accepted)] == ["a"]
    assert reasons(conformed) == [
        "event timestamp at is null or infinite",
        "event timestamp at is null or infinite",
        "key column k is null",
    ]


def test_of_rows_with_one_key_the_first_in_the_order_of_their_columns_stays(connection: Backend):
    columns = {"k": ["a", "a", "b", "a", "bad"], "v": ["3", "1", "9", "2", "x"]}
    spec = source(columns={"k": "varchar", "v": "integer"}, key=["K"])
    for order in (1, -1):
        raw = table(connection, {name: values[::order] for name, values in columns.items()})
        conformed = conform(raw, spec)
        assert sorted((row["k"], row["v"]) for row in rows(conformed.accepted)) == [("a", 1), ("b", 9)]
        assert reasons(conformed) == ["key (K) repeats an earlier row's"] * 2 + ["v: 'x' is not a valid integer"]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "3", "x", None]),
            st.sampled_from(["2024-01-01", "2024-01-01T00:00:00.0000001", "2024-01-02", "soon", None]),
            st.sampled_from(["7", "8", "y"]),
        ),
        max_size=12,
    ),
    st.sampled_from([["k"], ["k", "at"], ["at"], ["half"]]),
)
def test_keys_that_are_looked_for_beforehand_turn_away_the_same_rows(
    connection: Backend, written: list[tuple[str | None, str | None, str]], key: list[str]
):
    columns = {name: [row[index] for row in written] for index, name in enumerate(("k", "at", "v"))}
    raw = table(connection, columns)
    spec = source(
        columns={"k": "integer", "at": "timestamptz", "v": "integer"},
        derive={"half": "k // 2"},
        key=key,
        event_timestamp="at",
    )
    kept: list[ibis.Table] = []

    def keep(repeats: ibis.Table) -> ibis.Table:
        kept.append(connection.create_table("kept", repeats, overwrite=True))
        return kept[-1]

    at_once, before = conform(raw, spec), conform(raw, spec, keep=keep)
    assert len(kept) == 1
    assert sorted(map(str, rows(before.accepted))) == sorted(map(str, rows(at_once.accepted)))
    assert sorted(map(str, rows(before.quarantined))) == sorted(map(str, rows(at_once.quarantined)))


def test_a_derived_column_can_be_key_and_event_timestamp(connection: Backend):
    raw = table(connection, {"day": ["2024-01-01", "2024-01-01"], "hour": ["5", "6"]})
    spec = source(
        columns={"day": "date", "hour": "integer"},
        derive={"at": "day + to_hours(hour)"},
        key=["at"],
        event_timestamp="at",
    )
    accepted = conform(raw, spec).accepted
    assert accepted.to_pyarrow().schema.field("at").type == INSTANT
    assert sorted(row["at"].hour for row in rows(accepted)) == [5, 6]


@pytest.mark.parametrize(("declared", "hour"), [("timestamp", 5), ("date", 0), ("timestamptz", 5)])
def test_event_timestamps_are_utc_instants(connection: Backend, declared: str, hour: int):
    text = "2024-01-01" if declared == "date" else "2024-01-01 05:00"
    connection.raw_sql("SET TimeZone = 'UTC'")
    raw = table(connection, {"at": [text]})
    accepted = conform(raw, source(columns={"at": declared}, event_timestamp="at")).accepted
    assert rows(accepted) == [{"at": datetime(2024, 1, 1, hour, tzinfo=UTC)}]


@pytest.mark.parametrize("start", ["2024-01-02", "1968-05-01", "1000-01-01"])
def test_event_timestamps_before_the_first_partition_or_far_ahead_are_quarantined_with_their_moment(
    connection: Backend, start: str
):
    first, arrived = datetime.fromisoformat(start).replace(tzinfo=UTC), datetime(2024, 6, 1, 12, tzinfo=UTC)
    tick, ahead = timedelta(microseconds=1), timedelta(hours=3)
    spec = source(
        columns={"at": "timestamptz"},
        event_timestamp="at",
        partitions={"every": "day", "start": start},
        max_ahead="3 hours",
    )
    values = [first - tick, first, arrived, arrived + ahead, arrived + ahead + tick, None]
    conformed = conform(moments(connection, values), spec, arrived=arrived)
    assert [row["at"] for row in rows(conformed.accepted.order_by("at"))] == values[1:4]
    turned_away = rows(conformed.quarantined.order_by(MOMENT))
    assert [row[MOMENT] for row in turned_away] == [values[0], values[4], None]
    told = sorted(row[REASON].split("' ")[-1] for row in turned_away)
    assert told[1:] == [f"lies before the first partition, {start}", "lies more than 3 hours ahead of its arrival"]


def test_without_a_moment_of_arrival_no_row_is_too_far_ahead(connection: Backend):
    spec = source(columns={"at": "timestamptz"}, event_timestamp="at")
    assert len(rows(conform(moments(connection, [datetime(2999, 1, 1, tzinfo=UTC)]), spec).accepted)) == 1


@settings(max_examples=25)
@given(
    values=st.lists(st.tuples(st.sampled_from("ab") | st.none(), st.sampled_from(["1", "2", "x", None])), max_size=8)
)
def test_every_row_is_either_accepted_or_quarantined(connection: Backend, values: list[tuple[str | None, str | None]]):
    raw = table(connection, {"k": [k for k, _ in values], "v": [v for _, v in values]})
    conformed = conform(raw, source(columns={"k": "varchar", "v": "integer"}, key=["k"]))
    accepted = rows(conformed.accepted)
    assert len(accepted) + len(rows(conformed.quarantined)) == len(values)
    assert len({row["k"] for row in accepted}) == len(accepted)
    assert {row["k"] for row in accepted} == {k for k, v in values if k is not None and v != "x"}


def moments(connection: Backend, values: list[datetime]) -> ibis.Table:
    return table(connection, {"at": values}, INSTANT)


def test_only_rows_before_now_and_in_the_window_are_visible(connection: Backend):
    start = datetime(2024, 1, 1, tzinfo=UTC)
    data = moments(connection, [start + timedelta(hours=h) for h in range(6)])
    spec = source(event_timestamp="at")

    def seen(now: int, window: Window | None) -> list[int]:
        result = visible(data, spec, now=start + timedelta(hours=now), window=window)
        return sorted(row["at"].hour for row in rows(result))

    assert seen(3, None) == [0, 1, 2]
    assert seen(9, Window(start + timedelta(hours=1), start + timedelta(hours=4))) == [1, 2, 3]
    assert seen(2, Window(start + timedelta(hours=1), start + timedelta(hours=4))) == [1]


def test_a_table_without_an_event_timestamp_is_visible_as_a_whole(connection: Backend):
    data = table(connection, {"a": ["1"]})
    assert len(rows(visible(data, source(), now=datetime(2000, 1, 1, tzinfo=UTC), window=None))) == 1


PARTITIONS = [
    {"every": "month", "start": "2013-01", "timezone": "America/New_York"},
    {"every": "day", "start": "2013-01-01", "timezone": "Asia/Kathmandu"},
    {"every": "day", "start": "2013-01-01", "timezone": "Australia/Lord_Howe"},
    {"every": "day", "start": "2011-12-01", "timezone": "Pacific/Apia"},
    {"every": "hour", "start": "2013-01-01T00"},
    {"every": "month", "start": "1969-11"},
]
seconds = st.integers(
    int(datetime(2013, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
)


def borders(partitions: PartitionSpec) -> list[datetime]:
    last = datetime(2014, 2, 1, tzinfo=UTC)
    keys = [partitions.key_of(last - timedelta(days=n)) for n in range(0, 400, 7)]
    edges = [partitions.window(key).start for key in keys]
    return [edge + timedelta(microseconds=step) for edge in edges for step in (-1, 0, 1)]


@pytest.mark.parametrize("fields", PARTITIONS, ids=lambda fields: f"{fields['every']} {fields.get('timezone', 'UTC')}")
@given(drawn=st.lists(seconds, max_size=20))
@settings(max_examples=8)
def test_profiles_key_rows_exactly_as_the_partition_spec_does(
    connection: Backend, fields: dict[str, str], drawn: list[int]
):
    partitions = PartitionSpec.model_validate(fields)
    values = [*borders(partitions), *(datetime.fromtimestamp(second, UTC) for second in drawn)]
    spec = source(event_timestamp="at", partitions=fields)
    profiles = rows(partition_profiles(moments(connection, values), spec))
    wanted: dict[str, int] = {}
    for value in values:
        wanted[partitions.key_of(value)] = wanted.get(partitions.key_of(value), 0) + 1
    assert {row["partition"]: row["rows"] for row in profiles} == wanted


def test_a_fingerprint_ignores_order_and_sees_every_change(connection: Backend):
    spec = source()

    def fingerprint(a: list[str | None], b: list[str | None]) -> tuple[int, str]:
        row = rows(partition_profiles(table(connection, {"a": a, "b": b}), spec))[0]
        assert row["partition"] == ""
        return row["rows"], row["fingerprint"]

    first = fingerprint(["1", "2", None], ["x", "y", "z"])
    assert fingerprint([None, "1", "2"], ["z", "x", "y"]) == first
    others = [
        fingerprint(["2", "1", None], ["x", "y", "z"]),
        fingerprint(["1", "2", "z"], ["x", "y", None]),
        fingerprint(["1", "2", None, None], ["x", "y", "z", "z"]),
        fingerprint(["1", "2"], ["x", "y"]),
        fingerprint([], []),
    ]
    assert first not in others
    assert len(set(others)) == len(others)


def test_a_change_in_one_partition_leaves_the_others_fingerprints(connection: Backend):
    spec = source(event_timestamp="at", partitions={"every": "day", "start": "2024-01-01"})
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)]

    def profiles(values: list[datetime]) -> dict[str, str]:
        return {
            row["partition"]: row["fingerprint"] for row in rows(partition_profiles(moments(connection, values), spec))
        }

    before, after = profiles(days), profiles([days[0], days[1] + timedelta(hours=1), days[2]])
    assert {key for key in before if before[key] != after[key]} == {"2024-01-02"}

"""The rule of what a Delta table can hold, on every type Arrow and DuckDB bring."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.errors import DataError
from metaplatform.resources.delta.delta_types import evolved_schema, storable_batches, storable_schema

MOMENT = datetime(2013, 1, 1, 5, 30, tzinfo=UTC)
KEPT = [
    (pa.array([-128], pa.int8()), -128),
    (pa.array([1.5], pa.float32()), 1.5),
    (pa.array([Decimal("1.50")], pa.decimal128(12, 2)), Decimal("1.50")),
    (pa.array([date(2013, 1, 1)]), date(2013, 1, 1)),
    (pa.array([b"x"]), b"x"),
    (pa.array([[1, None]]), [1, None]),
    (pa.array([{"x": 1, "y": "z"}]), {"x": 1, "y": "z"}),
]
CONVERTED = [
    (pa.array([200], pa.uint8()), pa.int16(), 200),
    (pa.array([65_535], pa.uint16()), pa.int32(), 65_535),
    (pa.array([2**32 - 1], pa.uint32()), pa.int64(), 2**32 - 1),
    (pa.array([2**63 - 1], pa.uint64()), pa.int64(), 2**63 - 1),
    (pa.array([1.5], pa.float16()), pa.float32(), 1.5),
    (pa.array([Decimal(7)], pa.decimal128(38, 0)), pa.int64(), 7),
    (pa.array([Decimal("0.5")], pa.decimal32(3, 1)), pa.decimal128(3, 1), Decimal("0.5")),
    (pa.nulls(1), pa.string(), None),
    (pa.array([time(5, 30)]), pa.string(), "05:30:00.000000"),
    (pa.array(["x"], pa.large_string()), pa.string(), "x"),
    (pa.array(["x"]).dictionary_encode(), pa.string(), "x"),
    (pa.array([b"xy"], pa.binary(2)), pa.binary(), b"xy"),
    (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["[1]"])), pa.string(), "[1]"),
    (pa.array([MOMENT], pa.timestamp("s", "Europe/Berlin")), pa.timestamp("us", "UTC"), MOMENT),
    (pa.array([1_999], pa.timestamp("ns")), pa.timestamp("us"), datetime(1970, 1, 1, 0, 0, 0, 1)),  # noqa: DTZ001
    (pa.array([[200]], pa.list_(pa.uint8())), pa.list_(pa.field("element", pa.int16())), [200]),
    (pa.array([{"t": time(1, 2)}]), pa.struct([("t", pa.string())]), {"t": "01:02:00.000000"}),
    (pa.array([[("k", 3)]], pa.map_(pa.string(), pa.uint8())), pa.map_(pa.string(), pa.int16()), [("k", 3)]),
]


def stored(column: pa.Array) -> pa.Table:
    batch = pa.record_batch({"c": column})
    schema = storable_schema(batch.schema, owner="raw.t")
    return pa.Table.from_batches(storable_batches([batch], schema, owner="raw.t"), schema=schema)


@pytest.mark.parametrize(("column", "value"), KEPT, ids=lambda case: str(getattr(case, "type", "")))
def test_what_delta_can_hold_is_kept_as_it_is(column: pa.Array, value: object):
    assert stored(column)["c"].to_pylist() == [value]


@pytest.mark.parametrize(("column", "kind", "value"), CONVERTED, ids=lambda case: str(getattr(case, "type", "")))
def test_what_delta_cannot_hold_has_one_rule(column: pa.Array, kind: pa.DataType, value: object):
    table = stored(column)
    assert table.schema.field("c").type == kind
    assert table["c"].to_pylist() == [value]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([timedelta(days=1)]),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pa.array([Decimal(5)], pa.decimal256(50, 0)),
        pa.array([[timedelta(days=1)]]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_type_without_a_rule_is_refused_by_name(column: pa.Array):
    with pytest.raises(DataError, match=r"raw\.t: column 'c' has type .*, which no Delta table can hold"):
        stored(column)


@pytest.mark.parametrize(
    "column",
    [pa.array([2**64 - 1], pa.uint64()), pa.array([Decimal(2**70)], pa.decimal128(38, 0))],
    ids=lambda column: str(column.type),
)
def test_a_value_that_does_not_fit_is_refused_not_wrapped(column: pa.Array):
    with pytest.raises(DataError, match=r"column 'c' .* has a value that does not fit int64"):
        stored(column)


@given(st.lists(st.one_of(st.none(), st.integers(0, 2**64 - 1)), max_size=5))
def test_unsigned_integers_come_back_equal_or_not_at_all(values: list[int | None]):
    try:
        table = stored(pa.array(values, pa.uint64()))
    except DataError:
        assert any(value is not None and value >= 2**63 for value in values)
    else:
        assert table["c"].to_pylist() == values


def test_columns_are_nullable_and_the_partition_column_is_the_platforms_own():
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("_partition", pa.string())])
    assert storable_schema(schema, owner="raw.t") == pa.schema([pa.field("a", pa.int64())])


class TestColumnsBesideOthers:
    OLD = pa.schema([("a", pa.int64()), ("b", pa.string())])

    def test_are_those_of_both(self):
        new = pa.schema([("c", pa.float64()), ("a", pa.int64())])
        assert evolved_schema(self.OLD, new, owner="raw.t").names == ["a", "b", "c"]

    def test_have_one_type(self):
        with pytest.raises(DataError, match="column 'a' is int64 in the table and int32 in the new rows"):
            evolved_schema(self.OLD, pa.schema([("a", pa.int32())]), owner="raw.t")

    def test_do_not_differ_in_case_only(self):
        with pytest.raises(DataError, match="cannot tell apart: 'b', 'B'"):
            evolved_schema(self.OLD, pa.schema([("B", pa.string())]), owner="raw.t")

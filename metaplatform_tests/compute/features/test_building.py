"""Expressions and lookups: exact values on small tables."""

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from metaplatform.compute.features import build_features
from metaplatform.errors import DataError
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.fields.partitions import Window

INSTANT = pa.timestamp("us", "UTC")


def expression(**columns: str) -> dict[str, Any]:
    return {"kind": "expression", "columns": columns}


def lookup(table: str, on: dict[str, str], **columns: str) -> dict[str, Any]:
    return {"kind": "lookup", "table": f"raw.{table}", "on": on, "columns": columns}


def at(hour: int) -> datetime:
    return datetime(2024, 1, 1, hour, tzinfo=UTC)


def test_output_is_key_then_event_timestamp_then_features_in_book_order(book: Any):
    book.add("s", {"v": pa.int64(), "at": INSTANT, "id": pa.int64()}, [(1, at(1), 7)], key=["id"], at="at")
    table = book.features("s", expression(b="v + 1", a="v + 2"))
    assert table.columns == ("id", "at", "b", "a")


def test_an_event_timestamp_in_the_key_appears_once_where_the_key_has_it(book: Any):
    book.add("s", {"at": INSTANT, "id": pa.int64()}, [(at(1), 7)], key=["at", "id"], at="at")
    assert book.features("s", expression(a="1")).columns == ("at", "id", "a")


def test_later_expressions_read_earlier_features_in_any_letter_case(book: Any):
    book.add("s", {"id": pa.int64()}, [(1,), (2,)], key=["id"])
    assert book.build("s", expression(a="ID * 10", b="A + 1", c="a + B")) == [
        {"id": 1, "a": 10, "b": 11, "c": 21},
        {"id": 2, "a": 20, "b": 21, "c": 41},
    ]


def test_a_feature_shadows_the_spine_column_of_its_name_from_then_on_only(book: Any):
    book.add("s", {"id": pa.int64(), "V": pa.int64()}, [(1, 5)], key=["id"])
    assert book.build("s", expression(before="v", v="v * 100", after="v + 1")) == [
        {"id": 1, "before": 5, "v": 500, "after": 501}
    ]


def test_a_shadowing_feature_is_joined_by_and_the_spine_column_is_not(book: Any):
    book.add("s", {"id": pa.int64(), "code": pa.string()}, [(1, "x-9")], key=["id"])
    book.add("t", {"code": pa.string(), "v": pa.int64()}, [("x", 1), ("x-9", 2)])
    facts = lookup("t", {"code": "code"}, fact="v")
    assert book.values("fact", "s", facts, expression(code="left(code, 1)")) == [2]
    assert book.values("fact", "s", expression(code="left(code, 1)"), facts) == [1]


def test_odd_column_names_work_everywhere(book: Any):
    names = {"Order ID": pa.int64(), "größe": pa.float64(), 'say "x"': pa.string(), "select": pa.int64()}
    book.add("s", names, [(1, 1.5, "k", 3)], key=["Order ID"])
    book.add("t", {"Name; drop": pa.string(), "表": pa.int64()}, [("k", 9)])
    rows = book.build(
        "s",
        expression(a='"größe" * 2', b='"order id" + "select"'),
        lookup("t", {'say "x"': "Name; drop"}, c="表 + 1"),
    )
    assert rows == [{"Order ID": 1, "a": 3.0, "b": 4, "c": 10}]


def test_a_lookup_keeps_every_row_and_nulls_match_nothing(book: Any):
    book.add("s", {"id": pa.int64(), "k": pa.string()}, [(1, "a"), (2, "zz"), (3, None)], key=["id"])
    book.add("t", {"k": pa.string(), "id": pa.int64()}, [("a", 10), (None, 20), (None, 30)])
    assert book.values("fact", "s", lookup("t", {"k": "k"}, fact="id")) == [10, None, None]


def test_a_lookup_reads_its_table_only(book: Any):
    """``year`` of a plane is not the ``year`` of its flight."""
    book.add("s", {"id": pa.int64(), "year": pa.int64()}, [(1, 2013)], key=["id"])
    book.add("t", {"id": pa.int64(), "year": pa.int64()}, [(1, 1999)])
    assert book.values("built", "s", lookup("t", {"id": "id"}, built="year")) == [1999]


def test_a_lookup_table_with_a_key_twice_stops_the_query(book: Any):
    book.add("s", {"id": pa.int64(), "k": pa.string()}, [(1, "a")], key=["id"])
    book.add("t", {"k": pa.string(), "v": pa.int64()}, [("a", 1), ("a", 2), ("b", 3)])
    block = lookup("t", {"k": "k"}, fact="v")
    with pytest.raises(Exception, match=r"raw\.t has several rows with k = a"):
        book.build("s", block)


def test_the_window_limits_the_spine(book: Any):
    book.add("s", {"id": pa.int64(), "at": INSTANT}, [(n, at(n)) for n in range(5)], key=["id"], at="at")
    assert book.values("a", "s", expression(a="id"), window=Window(at(1), at(3))) == [1, 2]


@pytest.mark.parametrize(
    ("kind", "value"), [(pa.timestamp("us"), at(5).replace(tzinfo=None)), (pa.date32(), date(2024, 1, 1))]
)
def test_timestamps_without_a_zone_are_utc_whatever_the_session_says(book: Any, kind: pa.DataType, value: Any):
    book.add("s", {"id": pa.int64(), "at": kind}, [(1, value)], key=["id"], at="at")
    rows = book.build("s", expression(a="id"), window=Window(at(0), at(6)))
    hour = value.hour if isinstance(value, datetime) else 0
    assert [row["at"] for row in rows] == [at(hour)]


def test_numbers_that_are_not_finite_are_null(book: Any):
    book.add("s", {"id": pa.int64(), "v": pa.float64()}, [(1, 0.0)], key=["id"])
    row = book.build("s", expression(a="1 / v", b="v / v", c="ln(v + 1)"))[0]
    assert (row["a"], row["b"], row["c"]) == (None, None, 0.0)


def test_decimals_and_unsigned_numbers_become_types_that_every_store_keeps(book: Any):
    book.add("s", {"id": pa.int64()}, [(1,)], key=["id"])
    schema = book.features("s", expression(a="id * 1.50", b="id::utinyint", c="id::hugeint")).schema()
    assert [str(schema[name]) for name in "abc"] == ["float64", "int64", "float64"]


def test_an_empty_spine_has_no_features_and_their_types(book: Any):
    book.add("s", {"id": pa.int64()}, [], key=["id"])
    book.add("t", {"id": pa.int64(), "v": pa.string()}, [])
    result = book.features("s", expression(a="id / 2"), lookup("t", {"id": "id"}, b="v")).to_pyarrow()
    assert result.num_rows == 0
    assert result.schema.types == [pa.int64(), pa.float64(), pa.string()]


def test_a_column_that_is_missing_is_named_with_the_nearest_one(book: Any):
    book.add("s", {"id": pa.int64(), "carrier": pa.string()}, [(1, "a")], key=["id"])
    with pytest.raises(DataError, match=r"features\.facts: there is no column 'carier'.*'carrier'"):
        book.build("s", expression(a="carier"))


def test_an_expression_that_does_not_fit_its_types_names_the_feature_set(book: Any):
    book.add("s", {"id": pa.int64(), "c": pa.string()}, [(1, "a")], key=["id"])
    with pytest.raises(DataError, match=r"features\.facts: Binder Error"):
        book.build("s", expression(a="c + date '2024-01-01'"))


def test_a_feature_named_like_a_key_column_is_refused(book: Any):
    book.add("s", {"id": pa.int64()}, [(1,)], key=["id"])
    with pytest.raises(DataError, match="feature 'ID' has the name of a key column"):
        book.build("s", expression(ID="1"))


def test_an_event_timestamp_that_is_no_time_is_refused(book: Any):
    book.add("s", {"id": pa.int64(), "at": pa.string()}, [(1, "x")], key=["id"], at="at")
    with pytest.raises(DataError, match="event timestamp"):
        book.build("s", expression(a="id"))


def test_the_query_grows_in_proportion_to_the_features(book: Any):
    """A chain of features that each read the one before twice is written once, step by step."""
    book.add("s", {"id": pa.int64()}, [(1,)], key=["id"])

    def length(count: int) -> int:
        chain = {f"f{n}": f"f{n - 1} + f{n - 1}" if n else "id" for n in range(count)}
        return len(book.features("s", expression(**chain)).compile())

    assert length(40) < 3 * length(20)
    chain = {f"f{n}": f"f{n - 1} + f{n - 1}" if n else "id" for n in range(40)}
    assert book.values("f39", "s", expression(**chain)) == [2**39]


def test_nothing_is_left_on_the_connection(book: Any, connection: Any):
    book.add("s", {"id": pa.int64()}, [(1,)], key=["id"])
    before = connection.raw_sql("select * from duckdb_views() where not internal").fetchall(), connection.list_tables()
    book.build("s", expression(a="id"))
    after = connection.raw_sql("select * from duckdb_views() where not internal").fetchall(), connection.list_tables()
    assert before == after


def test_the_same_book_and_tables_give_the_same_query(book: Any):
    book.add("s", {"id": pa.int64()}, [(1,)], key=["id"])
    spec = FeatureSetSpec.model_validate({"name": "f", "spine": "raw.s", "features": [expression(a="id")]})
    made = [build_features(spec, manifest=book.manifest, tables=book.tables, window=None) for _ in range(2)]
    assert made[0].compile() == made[1].compile()

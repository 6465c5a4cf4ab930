import datetime as dt
import math
from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.compute.encoding import encode, encoding_query, fit, kind_of, of_other_kinds
from metaplatform.compute.serving import encode_frame
from metaplatform.errors import DataError
from metaplatform.specs.records.encoding import FittedEncoding, FittedFeature

ORIGIN = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
Rows = list[dict[str, Any]]
COLUMNS = {
    "whole": pa.int64(),
    "real": pa.float64(),
    "money": pa.decimal128(12, 3),
    "flag": pa.bool_(),
    "text": pa.string(),
    "moment": pa.timestamp("us", tz="UTC"),
    "day": pa.date32(),
}
MOMENTS = st.integers(-62_135_596_800 * 10**6, 253_402_300_799 * 10**6).map(
    lambda microseconds: dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)
)
ROW = st.fixed_dictionaries(
    {
        "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
        "real": st.none() | st.floats(),
        "money": st.none() | st.decimals(-(10**8), 10**8, places=3),
        "flag": st.none() | st.booleans(),
        "text": st.none() | st.sampled_from(["a", "b", "B", "", "ä", "__other__", "0"]) | st.text(max_size=3),
        "moment": st.none() | MOMENTS,
        "day": st.none() | st.dates(),
    }
)


@pytest.fixture(scope="module")
def engine():
    backend = ibis.duckdb.connect()
    backend.raw_sql("SET TimeZone='UTC'")
    yield backend
    backend.disconnect()


def table_of(engine: Any, rows: Rows, columns: dict[str, pa.DataType] | None = None):
    columns = columns or COLUMNS
    schema = pa.schema([("row", pa.int64()), *columns.items()])
    data = pa.Table.from_pylist([{"row": place, **row} for place, row in enumerate(rows)], schema=schema)
    return engine.create_table("rows", data, overwrite=True)


def fitted_on(engine: Any, table: Any, *, max_categories: int = 64):
    features = [name for name in table.columns if name != "row"]
    counts = engine.to_pyarrow(encoding_query(table, features, max_categories=max_categories))
    return fit(table.schema(), features, counts, origin=ORIGIN)


def matrix_of(engine: Any, table: Any, encoding: FittedEncoding):
    encoded = engine.to_pyarrow(encode(table, encoding, keep=["row"]).order_by("row"))
    columns = [encoded[name].to_numpy(zero_copy_only=False) for name in encoding.names]
    return np.column_stack(columns).astype(np.float32), encoded


@settings(max_examples=40)
@given(learnt=st.lists(ROW, min_size=1, max_size=12), scored=st.lists(ROW, min_size=1, max_size=12))
def test_serving_gives_the_same_bits_as_the_engine(engine: Any, learnt: Rows, scored: Rows):
    encoding = fitted_on(engine, table_of(engine, learnt), max_categories=3)
    table = table_of(engine, scored)
    frame = engine.to_pyarrow(table.order_by("row")).to_pandas()
    ours, _ = matrix_of(engine, table, encoding)
    np.testing.assert_array_equal(encode_frame(frame, encoding), ours)


@settings(max_examples=20)
@given(rows=st.lists(ROW, min_size=1, max_size=20))
def test_every_row_comes_back_once_as_finite_floats_or_nulls(engine: Any, rows: Rows):
    table = table_of(engine, rows)
    encoding = fitted_on(engine, table, max_categories=2)
    _, encoded = matrix_of(engine, table, encoding)
    assert encoded["row"].to_pylist() == list(range(len(rows)))
    assert {str(encoded.schema.field(name).type) for name in encoding.names} == {"float"}
    values = [value for name in encoding.names for value in encoded[name].to_pylist() if value is not None]
    assert all(math.isfinite(value) for value in values)


@settings(max_examples=20)
@given(rows=st.lists(ROW, max_size=8))
def test_an_encoding_survives_json(engine: Any, rows: Rows):
    encoding = fitted_on(engine, table_of(engine, rows))
    assert FittedEncoding.from_json(encoding.to_json()) == encoding


def texts(engine: Any, values: Any):
    return table_of(engine, [{"text": value} for value in values], {"text": pa.string()})


def test_the_most_frequent_categories_are_kept_and_equal_counts_go_by_text(engine: Any):
    encoding = fitted_on(engine, texts(engine, ["d", "c", "b", "b", "a", None, None, None]), max_categories=3)
    assert encoding.features[0].categories == ("a", "b", "c")


def test_the_order_of_the_rows_does_not_change_the_encoding(engine: Any):
    values = ["a", "b", "c", "b", "a", None]
    assert fitted_on(engine, texts(engine, values)) == fitted_on(engine, texts(engine, values[::-1]))


def test_a_rare_and_an_unseen_text_share_a_code_and_null_stays_null(engine: Any):
    encoding = fitted_on(engine, texts(engine, ["a", "a", "b", "b", "rare"]), max_categories=2)
    _, encoded = matrix_of(engine, texts(engine, ["b", "a", "rare", "unseen", None, ""]), encoding)
    assert encoded["text"].to_pylist() == [1, 0, 2, 2, None, 2]


def test_ten_thousand_categories_keep_their_codes(engine: Any):
    values = [f"{number:05d}" for number in range(10_000)]
    encoding = fitted_on(engine, texts(engine, values), max_categories=10_000)
    _, encoded = matrix_of(engine, texts(engine, [*values[::-1], "new"]), encoding)
    assert encoded["text"].to_pylist() == [*range(9_999, -1, -1), 10_000]


def test_numbers_that_no_float_holds_become_null(engine: Any):
    values = [math.nan, math.inf, -math.inf, 1e39, -1e39, None, 1.5]
    table = table_of(engine, [{"real": value} for value in values], {"real": pa.float64()})
    _, encoded = matrix_of(engine, table, fitted_on(engine, table))
    assert encoded["real"].to_pylist() == [None] * 6 + [1.5]


def test_times_are_whole_seconds_since_the_origin(engine: Any):
    moment = ORIGIN + dt.timedelta(days=1, microseconds=900_000)
    table = table_of(
        engine, [{"moment": moment, "day": dt.date(2012, 12, 31)}], {k: COLUMNS[k] for k in ("moment", "day")}
    )
    encoding = fitted_on(engine, table)
    _, encoded = matrix_of(engine, table, encoding)
    assert encoded.to_pylist() == [{"row": 0, "moment": 86_400.0, "day": -86_400.0}]


@pytest.mark.parametrize("name", list(COLUMNS))
def test_all_null_at_training_scores_like_unseen(engine: Any, name: str):
    encoding = fitted_on(engine, table_of(engine, [{name: None}] * 3, {name: COLUMNS[name]}))
    value = {"text": "a", "flag": True, "money": Decimal(1), "moment": ORIGIN, "day": dt.date(2013, 1, 1)}.get(name, 1)
    table = table_of(engine, [{name: value}, {name: None}], {name: COLUMNS[name]})
    _, encoded = matrix_of(engine, table, encoding)
    assert encoded[name].to_pylist() == [0.0 if name in {"text", "moment", "day"} else 1.0, None]


def test_a_column_without_a_type_encodes_as_null(engine: Any):
    encoding = fitted_on(engine, texts(engine, ["a"]))
    table = ibis.memtable(pa.table({"row": [0, 1], "text": pa.nulls(2)}))
    assert engine.to_pyarrow(encode(table, encoding))["text"].null_count == 2


def test_no_rows_keep_the_schema(engine: Any):
    encoding = fitted_on(engine, table_of(engine, []))
    _, encoded = matrix_of(engine, table_of(engine, []), encoding)
    assert encoded.schema.names == ["row", *COLUMNS]


@pytest.mark.parametrize(
    ("trained", "scored", "value"),
    [(pa.int64(), pa.string(), "1"), (pa.string(), pa.int64(), 1), (pa.date32(), pa.float64(), 1.0)],
)
def test_another_kind_of_type_at_scoring_is_an_error_that_names_the_feature(
    engine: Any, trained: pa.DataType, scored: pa.DataType, value: object
):
    encoding = fitted_on(engine, table_of(engine, [{"x": None}], {"x": trained}))
    table = table_of(engine, [{"x": value}], {"x": scored})
    assert of_other_kinds(table, encoding) == ["x"]
    with pytest.raises(DataError, match=r"feature x.*at scoring, .* at training"):
        encode(table, encoding)
    with pytest.raises(DataError, match=r"feature x.*at scoring, .* at training"):
        encode_frame(engine.to_pyarrow(table).to_pandas(), encoding)


def test_an_integer_may_become_a_float(engine: Any):
    encoding = fitted_on(engine, table_of(engine, [{"x": 1}], {"x": pa.int32()}))
    table = table_of(engine, [{"x": 1.5}], {"x": pa.float64()})
    assert of_other_kinds(table, encoding) == []
    _, encoded = matrix_of(engine, table, encoding)
    assert encoded["x"].to_pylist() == [1.5]


def test_a_missing_feature_is_an_error_that_names_it(engine: Any):
    encoding = fitted_on(engine, texts(engine, ["a"]))
    with pytest.raises(DataError, match="feature text"):
        encode(table_of(engine, [{"x": 1}], {"x": pa.int32()}), encoding)
    with pytest.raises(DataError, match="feature text"):
        encode_frame(pd.DataFrame({"x": [1]}), encoding)


@pytest.mark.parametrize("dtype", ["array<int64>", "time", "uuid", "struct<a: int64>", "interval('s')", "binary"])
def test_a_type_that_can_be_no_feature_is_an_error_that_names_it(dtype: str):
    with pytest.raises(DataError, match=r"feature x: type .* cannot be a feature"):
        kind_of("x", ibis.dtype(dtype))


def test_no_text_features_need_no_categories(engine: Any):
    table = table_of(engine, [{"whole": 1}], {"whole": pa.int64()})
    assert fitted_on(engine, table).features == (FittedFeature("whole", "number", "int64"),)


@pytest.mark.parametrize(
    "values", [{}, {"origin": "x", "features": []}, {"origin": ORIGIN.isoformat(), "features": [{}]}]
)
def test_values_that_are_no_encoding_are_refused(values: Any):
    with pytest.raises(DataError, match="not a fitted encoding"):
        FittedEncoding.from_json(values)


def test_a_kind_that_no_encoding_knows_is_refused():
    feature = {"name": "x", "kind": "picture", "dtype": "int64", "categories": []}
    with pytest.raises(DataError, match="picture"):
        FittedEncoding.from_json({"origin": ORIGIN.isoformat(), "features": [feature]})


def test_feature_types_are_in_matrix_order(engine: Any):
    encoding = fitted_on(engine, table_of(engine, []))
    assert list(encoding.feature_types.items()) == [(name, "c" if name == "text" else "q") for name in COLUMNS]

"""Digests against numpy on the same values, over a real DuckDB."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.compute.digest import (
    COUNTED,
    LARGEST,
    LEVEL_LENGTH,
    LEVELS,
    POINTS,
    CategoryDigest,
    Digest,
    NumericDigest,
    SkippedDigest,
    column_kind,
    digest,
)

CONNECTION = ibis.duckdb.connect()
PROBABILITIES = (np.arange(POINTS) + 0.5) / POINTS


def digest_of(columns: dict[str, Any]) -> Digest:
    return digest(CONNECTION.create_table("data", pa.table(columns), overwrite=True))


def numeric(columns: dict[str, Any], name: str = "x") -> NumericDigest:
    found = digest_of(columns).column(name)
    assert isinstance(found, NumericDigest)
    return found


def category(columns: dict[str, Any], name: str = "x") -> CategoryDigest:
    found = digest_of(columns).column(name)
    assert isinstance(found, CategoryDigest)
    return found


@settings(max_examples=40)
@given(st.lists(st.none() | st.floats(), max_size=30))
def test_every_value_is_finite_not_finite_or_null_and_quantiles_are_exact(values: list[float | None]) -> None:
    finite = [value for value in values if value is not None and abs(value) <= LARGEST]
    found = numeric({"x": pa.array(values, pa.float64())})
    assert (found.rows, found.nulls, found.values) == (len(values), values.count(None), len(finite))
    assert found.non_finite == len(values) - values.count(None) - len(finite)
    assert found.distinct == len(set(finite))
    expected = np.quantile(finite, PROBABILITIES, method="inverted_cdf").tolist() if finite else []
    assert list(found.quantiles) == expected
    if finite:
        assert (found.min, found.max) == (min(finite), max(finite))
        assert found.mean == pytest.approx(np.mean(finite), rel=1e-6, abs=1e-6 * max(map(abs, finite)))


@settings(max_examples=40)
@given(st.lists(st.none() | st.text(max_size=4), max_size=30))
def test_every_level_of_a_small_category_is_counted(values: list[str | None]) -> None:
    texts = [value for value in values if value is not None and "\0" not in value]
    found = category({"x": pa.array([*texts, None], pa.string())})
    assert dict(found.levels) == {text: texts.count(text) for text in texts}
    assert (found.nulls, found.other, found.distinct) == (1, 0, len(set(texts)))


@settings(max_examples=40)
@given(
    st.lists(st.none() | st.floats() | st.integers(-9, 9).map(float), max_size=20),
    st.lists(st.none() | st.text(max_size=3), max_size=20),
)
def test_json_gives_the_same_digest_back(numbers: list[float | None], texts: list[str | None]) -> None:
    rows = min(len(numbers), len(texts))
    columns = {"n": pa.array(numbers[:rows], pa.float64()), "t": pa.array(texts[:rows], pa.string())}
    columns["moment"] = pa.array([dt.datetime(2013, 1, 1, tzinfo=dt.UTC)] * rows, pa.timestamp("us", tz="UTC"))
    made = digest_of(columns)
    assert Digest.from_json(made.to_json()) == made


@pytest.mark.parametrize("shape", ["normal", "uniform", "exponential", "lognormal", "standard_t", "zeros"])
@pytest.mark.parametrize("rows", [3_000, COUNTED * 3])
def test_quantile_points_reproduce_the_distribution(shape: str, rows: int) -> None:
    generator = np.random.default_rng(7)
    arguments = {"standard_t": {"df": 5}}.get(shape, {})
    values = (
        np.where(generator.random(rows) < 0.7, 0.0, generator.exponential(size=rows))
        if shape == "zeros"
        else getattr(generator, shape)(size=rows, **arguments)
    )
    found = numeric({"x": values})
    points = np.array(found.quantiles)
    exact = np.quantile(values, PROBABILITIES, method="inverted_cdf")
    # The average error of a point is what the Wasserstein distance would be off by.
    assert np.abs(points - exact).mean() / values.std() < (1e-12 if rows <= COUNTED else 0.005)
    assert abs(points.mean() - values.mean()) / values.std() < 0.02
    assert 0.9 < points.std() / values.std() < 1.01
    assert np.all(np.diff(points) >= 0)
    assert values.min() <= points[0] <= points[-1] <= values.max()
    assert found.std == pytest.approx(values.std())


def test_frequent_levels_are_kept_and_the_rest_counted_together_with_ties_broken_by_name() -> None:
    values = [f"level {i:05d}" for i in range(LEVELS + 500)] + ["level 02400"] * 3
    found = category({"x": values})
    assert found.levels[:2] == (("level 02400", 4), ("level 00000", 1))
    assert len(found.levels) == LEVELS
    assert found.other == len(values) - found.levels[0][1] - (LEVELS - 1)
    assert found.distinct > LEVELS


def test_long_levels_are_kept_by_their_beginning() -> None:
    found = category({"x": ["ä" * 5_000, "ä" * 6_000]})
    assert found.levels == (("ä" * LEVEL_LENGTH, 2),)


def test_kinds_follow_from_types() -> None:
    moment = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
    columns = {
        "whole": pa.array([1], pa.int8()),
        "unsigned": pa.array([2**64 - 1], pa.uint64()),
        "money": pa.array([Decimal("1.50")]),
        "single": pa.array([0.5], pa.float32()),
        "flag": [True],
        "text": ["a"],
        "dictionary": pa.array(["a"]).dictionary_encode(),
        "moment": [moment],
        "day": [moment.date()],
        "list": [[1, 2]],
        "bytes": [b"a"],
    }
    found = {column.name: column.kind for column in digest_of(columns).columns}
    assert [name for name, kind in found.items() if kind == "numeric"] == ["whole", "unsigned", "money", "single"]
    assert [name for name, kind in found.items() if kind == "category"] == ["flag", "text", "dictionary"]
    assert [name for name, kind in found.items() if kind == "skipped"] == ["moment", "day", "list", "bytes"]
    assert column_kind(ibis.dtype("uuid")) == "category"


def test_a_type_without_a_measure_says_so_and_still_counts_nulls() -> None:
    found = digest_of({"day": pa.array([dt.date(2013, 1, 1), None])}).column("day")
    assert found == SkippedDigest("day", "date", rows=2, nulls=1, reason="date has no measure of drift")
    assert found.values == 1


def test_booleans_are_two_levels() -> None:
    assert category({"x": [True, False, True, None]}).levels == (("true", 2), ("false", 1))


def test_columns_without_rows_or_values_have_no_numbers() -> None:
    empty = digest_of({"n": pa.array([], pa.float64()), "t": pa.array([], pa.string())})
    assert empty.rows == 0
    nothing = digest_of({"n": pa.array([None, None], pa.float64()), "t": pa.array([None, None], pa.string())})
    for made in (empty, nothing):
        number, text = made.columns
        assert isinstance(number, NumericDigest)
        assert isinstance(text, CategoryDigest)
        assert (number.mean, number.min, number.quantiles, number.values) == (None, None, (), 0)
        assert (text.levels, text.other, text.values) == ((), 0, 0)


def test_numbers_that_a_model_would_see_as_infinite_count_as_such() -> None:
    found = numeric({"x": [1.0, 1e39, -1e300, math.inf, math.nan]})
    assert (found.values, found.non_finite, found.mean, found.max) == (1, 4, 1.0, 1.0)


def test_only_the_columns_asked_for_are_read_and_missing_ones_left_out() -> None:
    table = ibis.duckdb.connect().create_table("data", pa.table({"a": [1], "b": [2]}))
    assert digest(table, ["b", "c"]).names == ("b",)
    assert digest(table, []) == Digest(rows=1, columns=())


def test_any_column_name_will_do() -> None:
    names = ['we"ird', "rows", "a'; drop table data; --", "<b>", "Ünder score", "present_0"]
    found = digest_of({name: [position, position] for position, name in enumerate(names)})
    assert [(column.name, column.min) for column in found.columns] == list(zip(names, range(len(names)), strict=True))


def test_a_score_stands_beside_features_with_its_own_row_count() -> None:
    features, scores = digest_of({"x": [1, 2, 3]}), digest_of({"score": [0.5], "x": [0]})
    joined = features.joined(scores)
    assert (joined.rows, joined.names) == (3, ("x", "score"))
    assert joined.column("x") == features.column("x")
    assert joined.column("score") == scores.column("score")
    assert joined.without({"x"}).names == ("score",)
    assert joined.column("nothing") is None

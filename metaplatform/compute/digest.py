"""Digests: a table's columns in a few numbers, from which drift is judged at the same cost at any size."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import ibis
import ibis.expr.datatypes as dt
import numpy as np
from numpy.typing import NDArray

POINTS = 1001
"""Quantile points of a numeric column, at the probabilities ``(i + 0.5) / POINTS``."""
LEVELS = 2000
"""Most frequent levels kept of a category; the rows of the rest are counted together."""
COUNTED = 100_000
"""Numeric columns with up to this many distinct values are counted value by value, hence exact."""
LEVEL_LENGTH = 200
"""Characters of a level that are kept."""
LARGEST = float(np.finfo(np.float32).max)
"""Beyond this a number counts as not finite: learners hold features as 32-bit floats."""


@dataclass(frozen=True)
class NumericDigest:
    """A numeric column; ``mean``, population ``std``, ``min`` and ``max`` are of its finite values, None without any.

    ``quantiles`` are ``POINTS`` values of the inverse distribution function, or none. Over ``COUNTED``
    distinct values they come from the engine's approximate quantiles (about 0.001 standard deviations off
    for light tails) and the last digits may differ between runs; otherwise they are exact values of the column.
    """

    name: str
    dtype: str
    rows: int
    nulls: int
    non_finite: int
    distinct: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    quantiles: tuple[float, ...]
    kind: Literal["numeric"] = "numeric"

    @property
    def values(self) -> int:
        """Return the number of rows that hold a finite value."""
        return self.rows - self.nulls - self.non_finite


@dataclass(frozen=True)
class CategoryDigest:
    """A column of text, booleans or UUIDs: rows of its most frequent ``levels``, and of all ``other`` levels."""

    name: str
    dtype: str
    rows: int
    nulls: int
    distinct: int
    levels: tuple[tuple[str, int], ...]
    other: int
    kind: Literal["category"] = "category"

    @property
    def values(self) -> int:
        """Return the number of rows that hold a level."""
        return self.rows - self.nulls


@dataclass(frozen=True)
class SkippedDigest:
    """A column of a type that has no drift measure; ``reason`` says so for people."""

    name: str
    dtype: str
    rows: int
    nulls: int
    reason: str
    kind: Literal["skipped"] = "skipped"

    @property
    def values(self) -> int:
        """Return the number of rows that are not null."""
        return self.rows - self.nulls


ColumnDigest = NumericDigest | CategoryDigest | SkippedDigest
_KINDS: dict[str, Callable[..., ColumnDigest]] = {
    "numeric": NumericDigest,
    "category": CategoryDigest,
    "skipped": SkippedDigest,
}


@dataclass(frozen=True)
class Digest:
    """A table's row count and the digests of its columns. A column may come from a table of other length."""

    rows: int
    columns: tuple[ColumnDigest, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> ColumnDigest | None:
        """Return the digest of a column, None if there is no such column."""
        return next((column for column in self.columns if column.name == name), None)

    def joined(self, other: "Digest") -> "Digest":
        """Return this digest with the columns of another beside (a score beside features); this one's rows stay."""
        return replace(self, columns=self.columns + tuple(c for c in other.columns if c.name not in self.names))

    def without(self, names: Collection[str]) -> "Digest":
        """Return this digest less some columns."""
        return replace(self, columns=tuple(column for column in self.columns if column.name not in names))

    def to_json(self) -> str:
        """Return the digest as JSON text."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Digest":
        """Read what ``to_json`` wrote."""
        plain = json.loads(text)
        return cls(rows=plain["rows"], columns=tuple(_column_from(column) for column in plain["columns"]))


def _column_from(plain: dict[str, Any]) -> ColumnDigest:
    if "quantiles" in plain:
        plain["quantiles"] = tuple(plain["quantiles"])
    if "levels" in plain:
        plain["levels"] = tuple((level, rows) for level, rows in plain["levels"])
    return _KINDS[plain["kind"]](**plain)


def column_kind(dtype: dt.DataType) -> Literal["numeric", "category", "skipped"]:
    """Return how columns of an Ibis type are judged; a boolean is a category of two levels."""
    if dtype.is_numeric():
        return "category" if dtype.is_boolean() else "numeric"
    return "category" if dtype.is_string() or dtype.is_boolean() or dtype.is_uuid() else "skipped"


def digest(table: ibis.Table, columns: Iterable[str] | None = None) -> Digest:
    """Return the digest of ``columns`` (all, if None; those the table lacks are left out), computed by its engine.

    One scan counts everything, one takes approximate quantiles of numeric columns of many distinct
    values, and every other column is read once more by itself. The table should be a stored one: an
    expression would be evaluated as often.
    """
    names = [name for name in (table.columns if columns is None else columns) if name in table.columns]
    facts = _first_scan(table, names)
    many = [name for name in names if facts[name].get("distinct", 0) > COUNTED and _is_numeric(table, name)]
    approximate = _approximate_quantiles(table, many)
    columns_found = tuple(_column_digest(table, name, facts[name], approximate.get(name)) for name in names)
    return Digest(rows=facts[""]["rows"], columns=columns_found)


def _is_numeric(table: ibis.Table, name: str) -> bool:
    return column_kind(table.schema()[name]) == "numeric"


def _column_digest(
    table: ibis.Table, name: str, facts: dict[str, Any], approximate: NDArray[np.float64] | None
) -> ColumnDigest:
    dtype = table.schema()[name]
    shared = {"name": name, "dtype": str(dtype), "rows": facts["rows"], "nulls": facts["rows"] - facts["present"]}
    match column_kind(dtype):
        case "numeric":
            return _numeric_digest(table, shared, facts, approximate)
        case "category":
            return _category_digest(table, shared, facts)
        case "skipped":
            return SkippedDigest(**shared, reason=f"{dtype} has no measure of drift")


def _first_scan(table: ibis.Table, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    by_column = {name: _column_measures(table[name]) for name in names}
    # Named by position: engines differ in which column names they hold for equal.
    measures = {f"{key}_{i}": value for i, found in enumerate(by_column.values()) for key, value in found.items()}
    row = table.aggregate(rows=table.count(), **measures).to_pyarrow().to_pylist()[0]
    facts: dict[str, dict[str, Any]] = {"": {"rows": row["rows"]}}
    for i, (name, found) in enumerate(by_column.items()):
        facts[name] = {"rows": row["rows"]} | {key: row[f"{key}_{i}"] for key in found}
    return facts


def _column_measures(column: Any) -> dict[str, ibis.Value]:
    measures = {"present": column.count()}
    match column_kind(column.type()):
        case "numeric":
            value = _finite(column)
            measures |= {"finite": value.count(), "distinct": value.approx_nunique(), "mean": value.mean()}
            measures |= {"std": value.std(how="pop"), "min": value.min(), "max": value.max()}
        case "category":
            measures["distinct"] = column.approx_nunique()
    return measures


def _finite(column: Any) -> Any:
    number = column.cast("float64")
    # NaN fails the comparison: DuckDB and Spark both order it above every number.
    return (number.abs() <= LARGEST).ifelse(number, ibis.null("float64"))


def _probabilities() -> NDArray[np.float64]:
    return (np.arange(POINTS) + 0.5) / POINTS


def _approximate_quantiles(table: ibis.Table, names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    if not names:
        return {}
    points = _probabilities().tolist()
    measures = {str(i): _finite(table[name]).approx_quantile(points) for i, name in enumerate(names)}
    row = table.aggregate(**measures).to_pyarrow().to_pylist()[0]
    return {name: np.maximum.accumulate(np.array(row[str(i)], dtype=np.float64)) for i, name in enumerate(names)}


def _counted(table: ibis.Table, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values = table.select(value=table[name].cast("float64"))
    counted = values.group_by("value").aggregate(rows=values.count()).to_pyarrow()
    # What is not finite goes here, not in the query: at so few values planning is most of the cost.
    found, rows = counted["value"].to_numpy(zero_copy_only=False), counted["rows"].to_numpy()
    usable = np.abs(found) <= LARGEST
    return found[usable], rows[usable]


def inverse_distribution(values: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ``POINTS`` quantiles (inverse of the empirical distribution function) of counted distinct values."""
    if not len(values):
        return np.empty(0)
    order = np.argsort(values)
    below = np.cumsum(rows[order])
    return np.asarray(values[order][np.searchsorted(below, _probabilities() * below[-1])], dtype=np.float64)


def _numeric_digest(
    table: ibis.Table, shared: dict[str, Any], facts: dict[str, Any], approximate: NDArray[np.float64] | None
) -> NumericDigest:
    if approximate is None:
        values, rows = _counted(table, shared["name"])
        quantiles, distinct = inverse_distribution(values, rows), len(values)
    else:
        quantiles, distinct = np.clip(approximate, facts["min"], facts["max"]), min(facts["distinct"], facts["finite"])
    return NumericDigest(
        **shared,
        non_finite=facts["present"] - facts["finite"],
        distinct=distinct,
        **{key: facts[key] for key in ("mean", "std", "min", "max")},
        quantiles=tuple(quantiles.tolist()),
    )


def _category_digest(table: ibis.Table, shared: dict[str, Any], facts: dict[str, Any]) -> CategoryDigest:
    texts = table.select(level=table[shared["name"]].cast("string").substr(0, LEVEL_LENGTH))
    texts = texts.filter(texts.level.notnull())
    counts = texts.group_by("level").aggregate(rows=texts.count())
    kept = counts.order_by(counts.rows.desc(), counts.level).limit(LEVELS).to_pyarrow()
    levels = tuple(zip(kept["level"].to_pylist(), kept["rows"].to_pylist(), strict=True))
    other = facts["present"] - sum(rows for _, rows in levels)
    distinct = max(facts["distinct"], len(levels)) if other else len(levels)
    return CategoryDigest(**shared, distinct=distinct, levels=levels, other=other)

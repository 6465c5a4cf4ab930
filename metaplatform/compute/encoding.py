"""Raw features → one float column each: fitted on training rows, applied alike at training and at scoring.

Numbers, booleans and decimals become floats (null where not finite); text becomes the code of its category;
instants and dates become seconds. A null stays null, which each learner takes its own way.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa

from metaplatform.errors import DataError
from metaplatform.specs.records.encoding import EPOCH, LARGEST, FeatureKind, FittedEncoding, FittedFeature


def kind_of(name: str, dtype: dt.DataType) -> FeatureKind:
    """Return how a feature of this type is encoded; a column without a type (all null) counts as numbers.

    Raises:
        DataError: if the type cannot be a feature.
    """
    if dtype.is_numeric() or dtype.is_boolean() or dtype.is_null():
        return "number"
    if dtype.is_string():
        return "category"
    if dtype.is_timestamp() or dtype.is_date():
        return "time"
    raise DataError(
        owner=f"feature {name}",
        culprit=f"type {dtype} cannot be a feature",
        fix="make it a number, a boolean, text, a date or a timestamp in the feature set, or exclude it",
    )


def encoding_query(frame: ibis.Table, features: Sequence[str], *, max_categories: int) -> ibis.Table:
    """Return the query behind :func:`fit`: columns ``feature``, ``category``, ``rows``, in one scan of ``frame``.

    Of each text feature it keeps the ``max_categories`` most frequent texts, equal counts by text, nulls left
    out. Run it on the rows of the training split only.
    """
    texts = [name for name in features if kind_of(name, frame[name].type()) == "category"]
    if not texts:
        nothing = {"feature": "string", "category": "string", "rows": "int64"}
        return ibis.memtable(ibis.schema(nothing).to_pyarrow().empty_table())
    long = frame.select(texts).pivot_longer(texts, names_to="feature", values_to="category")
    counts = long.filter(long.category.notnull()).group_by("feature", "category").agg(rows=lambda t: t.count())
    order = ibis.window(  # type: ignore[no-untyped-call]
        group_by="feature", order_by=[counts.rows.desc(), counts.category]
    )
    ranked = counts.mutate(rank=ibis.row_number().over(order))
    return ranked.filter(ranked["rank"] < max_categories).select("feature", "category", "rows")


def fit(
    schema: ibis.Schema, features: Sequence[str], counts: pa.Table | pa.RecordBatch, *, origin: datetime = EPOCH
) -> FittedEncoding:
    """Return the encoding of ``features``, in that order.

    ``schema`` gives their types, ``counts`` is the result of :func:`encoding_query`, ``origin`` the instant
    that times are counted from (the start of the training window, best).

    Raises:
        DataError: if the type of a feature cannot be encoded.
    """
    categories: dict[str, list[str]] = {}
    for row in counts.select(["feature", "category"]).to_pylist():
        categories.setdefault(row["feature"], []).append(row["category"])
    fitted = (
        FittedFeature(name, kind_of(name, schema[name]), str(schema[name]), tuple(sorted(categories.get(name, ()))))
        for name in features
    )
    return FittedEncoding(tuple(fitted), origin)


def encode(table: ibis.Table, fitted: FittedEncoding, *, keep: Sequence[str] = ()) -> ibis.Table:
    """Return the columns ``keep`` of ``table``, then one float32 column for each feature: as many rows, in no order.

    Texts are looked up by a join with their few categories: measured faster than CASE, map or list lookups
    from 64 categories on, and portable between engines.

    Raises:
        DataError: if a feature is missing or is of another kind than at training.
    """
    joined = table
    codes: dict[str, Any] = {}
    for number, feature in enumerate(_checked(table, fitted)):
        column = table[feature.name]
        if feature.kind == "category" and feature.categories and not column.type().is_null():
            lookup = _lookup(feature.categories, number)
            joined = joined.left_join(lookup, column == lookup[f"__category_{number}"])
            codes[feature.name] = lookup[f"__code_{number}"]
    columns = {feature.name: _encoded(joined, feature, codes.get(feature.name), fitted) for feature in fitted.features}
    return joined.select(*keep, **columns)


def _lookup(categories: Sequence[str], number: int) -> ibis.Table:
    codes = pa.array(range(len(categories)), pa.float32())
    return ibis.memtable(
        pa.table({f"__category_{number}": pa.array(categories, pa.string()), f"__code_{number}": codes})
    )


def _encoded(table: ibis.Table, feature: FittedFeature, code: Any | None, fitted: FittedEncoding) -> Any:
    column = table[feature.name]
    missing = ibis.null("float32")
    if column.type().is_null():
        return missing
    if feature.kind == "category":
        other = ibis.literal(float(len(feature.categories)), "float32")
        known = other if code is None else ibis.coalesce(code, other)
        return ibis.ifelse(column.isnull(), missing, known)
    time = feature.kind == "time"
    number = _seconds(column) - fitted.origin.timestamp() if time else column.cast("float64")
    # One comparison turns away NaN (greater than any number in SQL), infinity and what float32 cannot hold.
    return ibis.ifelse(number.abs() <= LARGEST, number, ibis.null("float64")).cast("float32")


def _seconds(column: Any) -> Any:
    moment = column.cast("timestamp('UTC')") if column.type().is_date() else column
    # Truncated first: engines differ in whether the epoch of an instant has a fraction.
    return moment.truncate("s").epoch_seconds().cast("float64")


def knows(table: ibis.Table, fitted: FittedEncoding) -> bool:
    """Tell whether ``table`` has every feature, each as the kind of value it had at training."""
    return set(fitted.names) <= set(table.columns) and not of_other_kinds(table, fitted)


def of_other_kinds(table: ibis.Table, fitted: FittedEncoding) -> list[str]:
    """Return the features that ``table`` has as another kind of value than at training: they cannot be encoded."""
    present = [feature for feature in fitted.features if feature.name in table.columns]
    return [feature.name for feature in present if _is_of_another_kind(table, feature)]


def _is_of_another_kind(table: ibis.Table, feature: FittedFeature) -> bool:
    dtype = table[feature.name].type()
    return not dtype.is_null() and kind_of(feature.name, dtype) != feature.kind


def _checked(table: ibis.Table, fitted: FittedEncoding) -> tuple[FittedFeature, ...]:
    for feature in fitted.features:
        if feature.name not in table.columns:
            raise DataError(
                owner=f"feature {feature.name}",
                culprit="the table has no such column",
                fix="build the feature set again, or train the model on the features there are",
            )
        if _is_of_another_kind(table, feature):
            raise DataError(
                owner=f"feature {feature.name}",
                culprit=f"type {table[feature.name].type()} at scoring, {feature.dtype} at training",
                fix="undo the change of type, or train the model again",
            )
    return fitted.features

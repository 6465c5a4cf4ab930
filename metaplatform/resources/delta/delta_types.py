"""What a Delta table can hold: one rule of conversion, loud where it would lose something."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metaplatform.chapters import SOURCES
from metaplatform.errors import ColumnTypeError, DataError
from metaplatform.naming import PARTITION

_HUGEINT = pa.decimal128(38, 0)
_SAME = {
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
    *(pa.bool_(), pa.string(), pa.binary(), pa.date32()),
}
_WIDENED: dict[pa.DataType, pa.DataType] = {
    pa.null(): pa.string(),
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    _HUGEINT: pa.int64(),
}


def storable_schema(schema: pa.Schema, *, owner: str) -> pa.Schema:
    """Return the schema ``schema`` is stored with; every field nullable, ``_partition`` left out.

    Unsigned integers become the next larger signed one, DuckDB's HUGEINT (the sum of integers) BIGINT,
    times of day and untyped nulls text, enumerations their text, timestamps microseconds (UTC where they
    have a time zone).

    Raises:
        DataError: naming the column, for a type without a rule (interval, decimal over 38 digits), an empty
            name, or two names that differ in case only.
    """
    fields = [field for field in schema if field.name != PARTITION]
    _check_names([field.name for field in fields], owner=owner)
    return pa.schema([pa.field(field.name, _storable(field.type, field.name, owner)) for field in fields])


def storable_batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, owner: str) -> Iterator[pa.RecordBatch]:
    """Yield ``batches`` cast to ``schema``, as made by :func:`storable_schema`.

    Raises:
        DataError: naming the column, if a value does not fit; nothing is ever rounded or wrapped.
    """
    for batch in batches:
        columns = [_cast(batch.column(field.name), field, owner) for field in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def evolved_schema(stored: pa.Schema, new: pa.Schema, *, owner: str) -> pa.Schema:
    """Return the schema of a table of ``stored`` once rows of ``new`` are beside the others.

    Columns that only one side has are kept, with nulls for the rows of the other.

    Raises:
        DataError: if a column has two types, or two names differ in case only.
    """
    known = {field.name: field.type for field in stored}
    for field in new:
        if field.name in known and not known[field.name].equals(field.type):
            raise ColumnTypeError(
                owner=owner,
                culprit=f"column '{field.name}' is {known[field.name]} in the table and {field.type} in the new rows",
                fix=f"cast it to {known[field.name]} or give it another name; or remove the table's folder below the "
                "storage root: `metaplatform apply` then makes all of it again",
            )
    _check_names([*known, *(name for name in new.names if name not in known)], owner=owner)
    return pa.schema([*stored, *(field for field in new if field.name not in known)])


def _check_names(names: list[str], *, owner: str) -> None:
    if "" in names:
        raise DataError(owner=owner, culprit="a column without a name", fix="name it (`... as some_name`)")
    for name, count in Counter(name.casefold() for name in names).items():
        if count > 1:
            twins = ", ".join(f"'{twin}'" for twin in names if twin.casefold() == name)
            raise DataError(
                owner=owner, culprit=f"column names that SQL cannot tell apart: {twins}", fix="rename all but one"
            )


def _storable(kind: pa.DataType, name: str, owner: str) -> pa.DataType:
    if kind in _SAME:
        return kind
    if kind in _WIDENED:
        return _WIDENED[kind]
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_decimal(kind) and kind.precision <= _HUGEINT.precision:
        return pa.decimal128(kind.precision, kind.scale)
    return _storable_nested(kind, name, owner)


def _storable_nested(kind: pa.DataType, name: str, owner: str) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return _storable(kind.storage_type, name, owner)
    if pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return _storable(kind.value_type, name, owner)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(pa.field("element", _storable(kind.value_type, name, owner)))
    if pa.types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return pa.struct([pa.field(field.name, _storable(field.type, name, owner)) for field in fields])
    if pa.types.is_map(kind):
        return pa.map_(_storable(kind.key_type, name, owner), _storable(kind.item_type, name, owner))
    raise DataError(
        owner=owner,
        culprit=f"column '{name}' has type {kind}, which no Delta table can hold",
        fix="declare another type for it under `columns` of the source, such as varchar"
        if SOURCES.holds(owner)
        else "cast it in the query, for example to double, varchar or (an interval) with epoch()",
    )


def _fix_for_values(kind: pa.DataType, owner: str) -> str:
    if not SOURCES.holds(owner):
        return "cast it in the query, for example to varchar"
    if kind == pa.uint64():
        return "declare it under `columns` of the source as decimal(20,0), which holds every value, or as varchar"
    return "declare another type for it under `columns` of the source, such as varchar"


def _cast(column: "pa.Array[Any]", field: "pa.Field[Any]", owner: str) -> "pa.Array[Any]":
    if column.type.equals(field.type):
        return column
    # Nanoseconds are cut to the microseconds that the format has; all else must fit exactly.
    options = pc.CastOptions(target_type=field.type, allow_time_truncate=True)
    try:
        stored: pa.Array[Any] = pc.cast(column, options=options)  # type: ignore[call-overload]
    except pa.ArrowException as error:
        raise DataError(
            owner=owner,
            culprit=f"column '{field.name}' ({column.type}) has a value that does not fit {field.type}: {error}",
            fix=_fix_for_values(column.type, owner),
        ) from error
    return stored

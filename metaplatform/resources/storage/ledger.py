"""The loop's memory: typed rows of arrivals, observations, decisions, promotions and actions, kept once each."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from math import isfinite
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args

import pyarrow as pa
import pyarrow.compute as pc

from metaplatform.errors import DataError, StorageError
from metaplatform.resources.delta.delta_tables import latest_table, read_rows
from metaplatform.resources.storage.table_logs import TableLogs
from metaplatform.specs.records.ledger import Action, Approval, Arrival, Decision, Observation, Promotion

Record = Arrival | Approval | Observation | Decision | Promotion | Action
R = TypeVar("R", Arrival, Approval, Observation, Decision, Promotion, Action)

TABLES: Mapping[type[Record], str] = {
    Arrival: "monitoring.arrivals",
    Approval: "monitoring.approvals",
    Observation: "monitoring.observations",
    Decision: "monitoring.decisions",
    Promotion: "monitoring.promotions",
    Action: "monitoring.actions",
}
"""Table of each kind of record."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES: Mapping[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("us", "UTC"),
}


def record_schema(kind: type[Record]) -> pa.Schema:
    """Return the columns of a kind of record, from its fields; times are UTC microseconds."""
    return pa.schema([pa.field(field.name, _TYPES[_plain(field.type)]) for field in fields(kind)])


class Ledger:
    """Records in Delta tables of ``warehouse``: inserted once by their first field, never changed."""

    def __init__(self, warehouse: TableLogs) -> None:
        self._warehouse = warehouse

    def append(self, *records: Record) -> int:
        """Keep those of ``records`` that are not kept yet; return how many. Several processes may do so at once.

        Raises:
            DataError: if a time has no time zone.
            StorageError: if the commit cannot be made; then none of that kind is kept.
        """
        kinds = dict.fromkeys(type(record) for record in records)
        return sum(self._append(kind, [record for record in records if type(record) is kind]) for kind in kinds)

    def read(self, kind: type[R], /, **equals: str | float | None) -> list[R]:
        """Return the records of ``kind`` whose fields equal ``equals``, in order of time, then of id.

        Raises:
            StorageError: if ``kind`` has no such field.
        """
        names = [field.name for field in fields(kind)]
        if unknown := sorted(set(equals) - set(names)):
            raise StorageError(
                owner=TABLES[kind], culprit=f"no field {', '.join(unknown)}", fix=f"filter by {', '.join(names)}"
            )
        folder = self._warehouse.path(TABLES[kind])
        table = latest_table(folder)
        if table is None:
            return []
        rows = read_rows(table, folder, schema=record_schema(kind), condition=_all_equal(equals))
        rows = rows.sort_by([(_time_field(kind), "ascending"), (names[0], "ascending")])
        columns = [_values(rows[name]) for name in names]
        return [kind(*values) for values in zip(*columns, strict=True)]

    def _append(self, kind: type[Record], records: list[Record]) -> int:
        unique = {getattr(record, key): record for key in [fields(kind)[0].name] for record in records}
        for record in unique.values():
            if getattr(record, _time_field(kind)).tzinfo is None:
                raise DataError(owner=TABLES[kind], culprit=f"{record} has no time zone", fix="give UTC times")
        schema = record_schema(kind)
        columns = {name: [_kept(getattr(record, name)) for record in unique.values()] for name in schema.names}
        rows = pa.Table.from_pydict(columns, schema=schema)
        return self._warehouse.append_new(TABLES[kind], rows, key=fields(kind)[0].name, metadata={})


def _plain(annotation: Any) -> Any:
    """Return the type behind ``T | None``."""
    if isinstance(annotation, UnionType):
        return next(kind for kind in get_args(annotation) if kind is not NoneType)
    return annotation


def _kept(value: object) -> object:
    """Return a value of a record; a number that is not finite says nothing, and JSON does not have it."""
    return None if isinstance(value, float) and not isfinite(value) else value


def _values(column: "pa.ChunkedArray[Any]") -> list[Any]:
    if pa.types.is_floating(column.type):
        # An earlier release has kept others.
        return [_kept(value) for value in column.to_pylist()]
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    # Arrow looks the time zone up for each value; UTC needs none.
    ticks = column.cast(pa.int64()).to_pylist()
    return [None if tick is None else _EPOCH + timedelta(microseconds=tick) for tick in ticks]


def _time_field(kind: type[Record]) -> str:
    return next(field.name for field in fields(kind) if _plain(field.type) is datetime)


def _all_equal(equals: Mapping[str, object]) -> pc.Expression | None:
    condition: pc.Expression | None = None
    for name, value in equals.items():
        term = pc.field(name).is_null() if value is None else pc.field(name) == value
        condition = term if condition is None else condition & term
    return condition

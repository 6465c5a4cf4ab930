"""The loop's memory: typed rows of arrivals, observations, decisions, promotions and actions, kept once each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from math import isfinite
from operator import attrgetter
from pathlib import Path
from threading import RLock
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, get_args
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from metaplatform.errors import DataError, StorageError
from metaplatform.resources.delta.delta_tables import latest_table, read_rows
from metaplatform.resources.storage.table_logs import TableLogs
from metaplatform.specs.records.ledger import Action, Approval, Arrival, Decision, Observation, Promotion

Record = Arrival | Approval | Observation | Decision | Promotion | Action
G = TypeVar("G")
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
        return _records(kind, rows)

    def by(self, kind: type[R], field: str, /, **equals: str) -> "Grouped[R]":
        """Return the records of ``kind`` whose fields equal ``equals``, by one of their texts: for repeated looks.

        A process reads each file of the table once. They are as they are now, or as found since by another thread.
        """
        folder = self._warehouse.path(TABLES[kind])
        with _looking:
            found = _grouped.setdefault((folder, kind, field, *equals.items()), Grouped(kind, field, equals))
            found.look(latest_table(folder), folder)
        return found

    def _append(self, kind: type[Record], records: list[Record]) -> int:
        unique = {getattr(record, key): record for key in [fields(kind)[0].name] for record in records}
        for record in unique.values():
            if getattr(record, _time_field(kind)).tzinfo is None:
                raise DataError(owner=TABLES[kind], culprit=f"{record} has no time zone", fix="give UTC times")
        schema = record_schema(kind)
        columns = {name: [_kept(getattr(record, name)) for record in unique.values()] for name in schema.names}
        rows = pa.Table.from_pydict(columns, schema=schema)
        return self._warehouse.append_new(TABLES[kind], rows, key=fields(kind)[0].name, metadata={})


class Grouped(Generic[G]):
    """Records of a kind by one of their texts, as a process has read them; made into values when they are asked for."""

    def __init__(self, kind: type[Any], field: str, equals: Mapping[str, str]) -> None:
        """Have read nothing yet."""
        self._kind, self._field, self._condition = kind, field, _all_equal(equals)
        self._order = attrgetter(_time_field(kind), fields(kind)[0].name)
        self._table: DeltaTable | None = None
        self._files: frozenset[str] = frozenset()
        self._unread: dict[str, list[tuple[pa.Table, list[int]]]] = {}
        self._read: dict[str, tuple[G, ...]] = {}

    def __iter__(self) -> Iterator[str]:
        """Yield the texts that there are records of."""
        with _looking:
            return iter([*self._unread.keys() | self._read.keys()])

    def of(self, text: str) -> Sequence[G]:
        """Return the records with this text, in order of time, then of id."""
        with _looking:
            unread = self._unread.pop(text, [])
            if unread:
                new: list[G] = [record for rows, places in unread for record in _records(self._kind, rows.take(places))]
                self._read[text] = tuple(sorted((*self._read.get(text, ()), *new), key=self._order))
            return self._read.get(text, ())

    def look(self, table: DeltaTable | None, folder: Path) -> None:
        """Read the files that are new; all of them where one that was read is gone, its rows standing in others now."""
        # It imports pandas, which loading definitions must not.
        import pyarrow.dataset as pads

        if table is not None and table is self._table:
            return
        paths: list[Any] = pa.table(table.get_add_actions())["path"].to_pylist() if table else []
        files = frozenset(paths)
        if not self._files <= files:
            self._files, self._unread, self._read = frozenset(), {}, {}
        if new := sorted(files - self._files):
            stored = [str(folder / unquote(path)) for path in new]
            dataset: Any = pads.dataset(stored, schema=record_schema(self._kind), format="parquet")
            rows: pa.Table = dataset.to_table(filter=self._condition)
            places: dict[str, list[int]] = {}
            texts: list[Any] = rows[self._field].to_pylist()
            for place, text in enumerate(texts):
                places.setdefault(text, []).append(place)
            for text, found in places.items():
                self._unread.setdefault(text, []).append((rows, found))
        self._table, self._files = table, files


_grouped: dict[tuple[object, ...], Grouped[Any]] = {}
_looking = RLock()


def _records(kind: type[Any], rows: pa.Table) -> list[Any]:
    columns = [_values(rows[field.name]) for field in fields(kind)]
    return [kind(*values) for values in zip(*columns, strict=True)]


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

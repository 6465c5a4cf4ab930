"""Parquet files written beside a Delta table, before a commit makes them part of it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

_ROW_GROUP_ROWS = 122_880
_ROW_GROUP_BYTES = 128 * 2**20
_FILE_BYTES = 512 * 2**20
_COLUMNS_WITH_STATISTICS = 32


@dataclass
class _Statistics:
    """Row count, null counts and bounds of one file, for readers that skip files by them.

    Integers, dates and timestamps only: text is long, and bounds of floats say nothing about NaN.
    """

    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    least: dict[str, "pa.Scalar[Any]"] = field(default_factory=dict)
    greatest: dict[str, "pa.Scalar[Any]"] = field(default_factory=dict)

    def add(self, table: pa.Table) -> None:
        """Take the rows of ``table`` in."""
        self.rows += table.num_rows
        for column in table.schema.names[:_COLUMNS_WITH_STATISTICS]:
            values = table.column(column)
            if not (pa.types.is_integer(values.type) or pa.types.is_temporal(values.type)):
                continue
            self.nulls[column] = self.nulls.get(column, 0) + values.null_count
            bounds = pc.min_max(values)
            if bounds["min"].is_valid:
                self.least[column] = min(self.least.get(column, bounds["min"]), bounds["min"], key=_order)
                self.greatest[column] = max(self.greatest.get(column, bounds["max"]), bounds["max"], key=_order)

    def to_json(self) -> str:
        """Return the statistics as the Delta protocol writes them."""
        least, greatest = _rendered(self.least), _rendered(self.greatest)
        both = least.keys() & greatest.keys()
        return json.dumps(
            {
                "numRecords": self.rows,
                "nullCount": self.nulls,
                "minValues": {name: value for name, value in least.items() if name in both},
                "maxValues": {name: value for name, value in greatest.items() if name in both},
            }
        )


def _order(value: Any) -> int:
    # Dates and timestamps may lie outside what Python's own types can hold.
    return int(value.value) if pa.types.is_temporal(value.type) else int(value.as_py())


def _rendered(bounds: Mapping[str, "pa.Scalar[Any]"]) -> dict[str, Any]:
    rendered: dict[str, Any] = {}
    for name, value in bounds.items():
        with suppress(OverflowError, ValueError):
            if pa.types.is_timestamp(value.type):
                text = value.as_py().replace(tzinfo=None).isoformat(timespec="microseconds")
                rendered[name] = f"{text}Z" if value.type.tz else text
            else:
                rendered[name] = value.as_py().isoformat() if pa.types.is_temporal(value.type) else value.as_py()
    return rendered


class StagedFiles:
    """Files of one write, all with the same partition values; gone again unless :meth:`keep` is called.

    A context manager. ``actions`` are what a commit needs to add the files.
    """

    def __init__(self, folder: Path, schema: pa.Schema, values: Mapping[str, str | int]) -> None:
        self.schema = schema
        self.actions: list[AddAction] = []
        self.rows = 0
        self._folder = folder
        self._values = {name: str(value) for name, value in values.items()}
        self._subfolder = "/".join(f"{name}={value}" for name, value in self._values.items())
        self._paths: list[Path] = []
        self._kept = False

    @property
    def bytes(self) -> int:
        """Return the size of all files together."""
        return sum(action.size for action in self.actions)

    def keep(self) -> None:
        """Leave the files in place: a commit refers to them now."""
        self._kept = True

    def __enter__(self) -> Self:
        """Start with no files."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what no commit refers to."""
        if not self._kept:
            for path in self._paths:
                path.unlink(missing_ok=True)

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write ``batches`` to as many files as their size asks for, and one at least.

        A file of zero rows is what tells a partition that was made and is empty from one never made.
        """
        groups = _row_groups(batches, self.schema)
        while self._write_file(groups):
            pass

    def _write_file(self, groups: Iterator[pa.Table]) -> bool:
        """Write one file; tell whether it was filled before ``groups`` came to an end."""
        path = self._folder / self._subfolder / f"part-{uuid4()}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._paths.append(path)
        statistics, full = _Statistics(), False
        with self._writer(path) as writer:
            for table in groups:
                writer.write_table(table, row_group_size=_ROW_GROUP_ROWS)
                statistics.add(table)
                full = path.stat().st_size > _FILE_BYTES
                if full:
                    break
        self._add(path, statistics)
        return full

    def _writer(self, path: Path) -> pq.ParquetWriter:
        """Return a writer with dictionaries for text alone: of numbers they cost more time than they save space."""
        texts = [name for name in self.schema.names if pa.types.is_string(self.schema.field(name).type)]
        # Bounds of floats leave NaN out, which DuckDB, where it is the greatest number, would not find again.
        bounded = [name for name in self.schema.names if not pa.types.is_floating(self.schema.field(name).type)]
        return pq.ParquetWriter(
            path,
            self.schema,
            compression="zstd",
            use_dictionary=texts,  # type: ignore[arg-type]
            write_statistics=bounded,
        )

    def _add(self, path: Path, statistics: _Statistics) -> None:
        status = path.stat()
        self.rows += statistics.rows
        self.actions.append(
            AddAction(
                path=path.relative_to(self._folder).as_posix(),
                size=status.st_size,
                partition_values=self._values,
                modification_time=int(status.st_mtime * 1000),
                data_change=True,
                stats=statistics.to_json(),
            )
        )


def _row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Join small batches: each table becomes a row group, and small row groups are slow to read."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            yield pa.Table.from_batches(waiting, schema=schema)
            waiting, rows, size = [], 0, 0
    if rows:
        yield pa.Table.from_batches(waiting, schema=schema)

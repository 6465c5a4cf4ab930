"""Parquet files written beside a Delta table, before a commit makes them part of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from metaplatform.resources.delta.delta_statistics import FileStatistics, with_null_columns

_ROW_GROUP_ROWS = 122_880
_ROW_GROUP_BYTES = 128 * 2**20
_FILE_BYTES = 512 * 2**20


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

    def actions_in(self, schema: pa.Schema) -> list[AddAction]:
        """Return the actions for a table of ``schema``, which may have columns that these files lack."""
        missing = [name for name in schema.names if name not in self.schema.names and name not in self._values]
        return [replace(action, stats=with_null_columns(action.stats, missing)) for action in self.actions]

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
        statistics, full = FileStatistics(self.schema), False
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

    def _add(self, path: Path, statistics: FileStatistics) -> None:
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

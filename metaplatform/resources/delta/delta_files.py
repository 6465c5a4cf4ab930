"""Parquet files written beside a Delta table, before a commit makes them part of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from metaplatform.naming import PARTITION
from metaplatform.resources.delta.delta_partitions import ONE_PARTITION, PARTITIONS, WrittenParts
from metaplatform.resources.delta.delta_statistics import FileStatistics, with_null_columns

_ROW_GROUP_ROWS = 122_880
_ROW_GROUP_BYTES = 128 * 2**20
_FILE_BYTES = 512 * 2**20
FILE_ROWS = 200_000
"""Rows after which a file takes no other partition: to replace one is to write the others in its file again."""


class StagedFiles:
    """Files of one write, all with the same Delta partition; gone again unless :meth:`keep` is called.

    A context manager. ``actions`` are what a commit needs to add the files. A ``schema`` with ``_partition`` makes
    files that tell what they hold of each partition; ``kept`` has the tokens of contents that are written again.
    """

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        values: Mapping[str, str | int],
        *,
        kept: Mapping[str, str] | None = None,
    ) -> None:
        self.schema = schema
        self.actions: list[AddAction] = []
        self.rows = 0
        self.by_partition: Counter[str] = Counter()
        self._folder = folder
        self._values = {name: str(value) for name, value in values.items()}
        self._subfolder = "/".join(f"{name}={value}" for name, value in self._values.items())
        self._kept = None if kept is None else dict(kept)
        self._paths: list[Path] = []
        self._committed = False

    @property
    def bytes(self) -> int:
        """Return the size of all files together."""
        return sum(action.size for action in self.actions)

    @property
    def written_at(self) -> int:
        """Return when the last file was written, in milliseconds."""
        return max(action.modification_time for action in self.actions)

    def actions_in(self, schema: pa.Schema) -> list[AddAction]:
        """Return the actions for a table of ``schema``, which may have columns that these files lack."""
        missing = [name for name in schema.names if name not in self.schema.names and name not in self._values]
        return [replace(action, stats=with_null_columns(action.stats, missing)) for action in self.actions]

    def keep(self) -> None:
        """Leave the files in place: a commit refers to them now."""
        self._committed = True

    def __enter__(self) -> Self:
        """Start with no files."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what no commit refers to."""
        if not self._committed:
            for path in self._paths:
                path.unlink(missing_ok=True)

    def write(self, batches: Iterable[pa.RecordBatch], partitions: Collection[str] = ()) -> None:
        """Write ``batches`` to as many files as their size asks for, and one at least.

        ``partitions`` are noted as made, those without rows too. A file of zero rows is what tells a table or a
        partition that was made and is empty from one never made.
        """
        groups = _row_groups(batches, self.schema)
        prefix = ONE_PARTITION if len(partitions) <= 1 and self._kept is None else PARTITIONS
        group = next(groups, None)
        while group is not None:
            group = self._write_file(prefix, group, groups, partitions)
        if not self.actions:
            self._write_file(prefix, None, groups, partitions)

    def _write_file(
        self, prefix: str, group: pa.Table | None, groups: Iterator[pa.Table], partitions: Collection[str]
    ) -> pa.Table | None:
        """Write one file, beginning with ``group``; return what the next is to begin with."""
        path = self._folder / self._subfolder / f"{prefix}{uuid4()}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._paths.append(path)
        statistics = FileStatistics(self.schema)
        parts = WrittenParts(self.schema, self._kept) if PARTITION in self.schema.names else None
        with self._writer(path) as writer:
            while group is not None and len(mine := _fitting(group, path, statistics.rows, parts)):
                writer.write_table(mine, row_group_size=_ROW_GROUP_ROWS)
                statistics.add(mine)
                if parts is not None:
                    parts.add(mine)
                group = group.slice(len(mine)) if len(mine) < len(group) else next(groups, None)
            if parts is not None:
                self._note(parts, partitions if group is None else ())
                writer.add_key_value_metadata(parts.footer())
        self._add(path, statistics)
        return group

    def _note(self, parts: WrittenParts, partitions: Collection[str]) -> None:
        """Count the file's rows by partition; the last file notes those of ``partitions`` that have none."""
        self.by_partition.update(parts.counts())
        empty = [key for key in partitions if key not in self.by_partition]
        parts.add_empty(empty)
        self.by_partition.update(dict.fromkeys(empty, 0))

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


def _fitting(group: pa.Table, path: Path, rows: int, parts: WrittenParts | None) -> pa.Table:
    """Return the first rows of ``group`` that go into a file of ``rows`` so far; no partition is cut without need."""
    if rows and path.stat().st_size > _FILE_BYTES:
        return group.slice(0, 0)
    if parts is None or rows < FILE_ROWS:
        return group
    others = pc.index(pc.not_equal(group[PARTITION], pa.scalar(parts.last or "")), True).as_py()
    return group if others < 0 else group.slice(0, others)


def _row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Join small batches: each table becomes a row group, and small row groups are slow to read."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        while rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            joined = pa.Table.from_batches(waiting, schema=schema)
            yield joined.slice(0, _ROW_GROUP_ROWS)
            rest = joined.slice(_ROW_GROUP_ROWS)
            waiting, rows, size = rest.to_batches(), rest.num_rows, rest.nbytes
    if rows:
        yield pa.Table.from_batches(waiting, schema=schema)

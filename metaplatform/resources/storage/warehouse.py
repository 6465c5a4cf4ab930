"""The warehouse: every table a Delta table below one storage root, DuckDB the engine over them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from metaplatform import places
from metaplatform.errors import DataError, MetaplatformError, StorageError
from metaplatform.naming import PARTITION, ref_of
from metaplatform.resources.delta.delta_commits import (
    clear_table,
    commit_replacement,
    schema_after,
)
from metaplatform.resources.delta.delta_files import StagedFiles
from metaplatform.resources.delta.delta_maintenance import Maintained, maintain_table
from metaplatform.resources.delta.delta_placing import in_order, in_partition
from metaplatform.resources.delta.delta_retyping import retype_table, retyped_columns
from metaplatform.resources.delta.delta_rewriting import Replacement
from metaplatform.resources.delta.delta_tables import (
    check_partition_key,
    latest_table,
    storage_root,
)
from metaplatform.resources.delta.delta_types import storable_batches, storable_schema
from metaplatform.resources.engine.file_casts import cast_batches
from metaplatform.resources.engine.opening import open_session
from metaplatform.resources.engine.session import Session
from metaplatform.resources.engine.session_folders import oldest_session
from metaplatform.resources.storage.table_logs import RootLogs, TableLogs


@dataclass(frozen=True)
class WriteResult:
    """A table after a write: its new version, and the rows (by partition too) and bytes on disk that were written."""

    version: int
    rows: int
    bytes: int
    by_partition: Mapping[str, int] = field(default_factory=dict)


class Warehouse(TableLogs, dg.ConfigurableResource):  # type: ignore[type-arg,misc]  # `schema` is pydantic's too
    """Tables by reference (``raw.flights``) below the storage folder ``root``.

    ``memory_limit`` (``4GB``) is DuckDB's; left out, it takes what the machine has. ``threads`` are those of a step:
    of DuckDB, training and scoring; left out, as many as the CPUs that the process may use.
    Processes on one machine may read and write the same tables at the same time.
    """

    root: str
    memory_limit: str = ""
    threads: int = 0

    @property
    def root_path(self) -> Path:
        """Return the storage root as an absolute path."""
        return storage_root(self.root)

    @property
    def logs(self) -> RootLogs:
        """Return what the tables' logs tell, and nothing else."""
        return RootLogs(self.root_path)

    def session(self) -> AbstractContextManager[Session]:
        """Return a session of the engine with nothing in it, closed at the end whatever happens."""
        return open_session(self.root_path, memory_limit=self.memory_limit, threads=self.threads)

    def replace(
        self,
        ref: str,
        data: pa.RecordBatchReader | pa.Table,
        *,
        partition: str | None,
        metadata: Mapping[str, str],
    ) -> WriteResult:
        """Replace one partition of a table (None: the whole table) by ``data``, in one commit.

        The rows are streamed; until the commit readers see the old ones, and a failure leaves those in place.
        A column ``_partition`` in ``data`` is left out: it is the platform's own. Replacing all rows there
        are may change the schema; replacing some may only add columns. A write with other partition columns
        than the table has replaces all rows. ``metadata`` is kept in the table's history.

        Raises:
            DataError: for a type that cannot be stored, or one that other partitions have differently.
            StorageError: if the commit cannot be made.
        """
        return self._replace(ref, data, {} if partition is None else {PARTITION: partition}, metadata)

    def replace_partitions(
        self,
        ref: str,
        data: pa.RecordBatchReader,
        *,
        partitions: Collection[str],
        metadata: Mapping[str, str],
        whole: bool = False,
    ) -> WriteResult:
        """Replace ``partitions`` by ``data``, whose rows are ordered by ``_partition``; otherwise as :meth:`replace`.

        All of them are replaced, in one commit, those without rows in ``data`` too. With ``whole`` nothing else stays
        in the table, and its columns may be others than before.

        Raises:
            DataError: also for a row of another partition, or one that is not in order.
        """
        if not partitions:
            raise StorageError(owner=ref, culprit="no partition to replace", fix="name one at least")
        for key in partitions:
            check_partition_key(ref, key)
        replaced = Replacement(frozenset(partitions), {}, whole)
        return self._write(ref, data.schema, in_order(data, replaced.partitions, owner=ref), replaced, metadata)

    def replace_where(
        self,
        ref: str,
        data: pa.RecordBatchReader | pa.Table,
        *,
        values: Mapping[str, str | int],
        partition_by: tuple[str, ...],
        metadata: Mapping[str, str],
    ) -> WriteResult:
        """Replace the rows that have ``values`` in the columns ``partition_by``; otherwise as :meth:`replace`.

        For histories, partitioned by more than the partition key: ``("_partition", "model_version")``.

        Raises:
            DataError: also if a row of ``data`` has another value in one of these columns.
        """
        if set(values) != set(partition_by) or not values:
            raise StorageError(
                owner=ref,
                culprit=f"values for {sorted(values)}, partitions by {sorted(partition_by)}",
                fix="name the same",
            )
        return self._replace(ref, data, {name: values[name] for name in partition_by}, metadata)

    def clear(self, ref: str, *, metadata: Mapping[str, str]) -> None:
        """Take all rows away in one commit; what is written next may have any columns. Older versions remain."""
        clear_table(ref, self.path(ref), metadata=metadata)

    def retype(self, ref: str, types: Mapping[str, pa.DataType], *, metadata: Mapping[str, str]) -> None:
        """Cast those columns of a table that have other types than ``types``, in one commit; null if that fails."""
        table = self._open(ref)
        if table is not None and retyped_columns(table, types):
            retype_table(ref, self.path(ref), types, metadata=metadata, cast=cast_batches)

    def stored(self) -> tuple[str, ...]:
        """Return the references of all tables there are."""
        logs = (self.root_path / places.WAREHOUSE).glob("*/*/_delta_log")
        return tuple(sorted(ref_of((log.parent.parent.name, log.parent.name)) for log in logs))

    def maintain_all(self, *, keep: timedelta, now: datetime) -> dict[str, Maintained]:
        """Maintain every table; return what was done to those that needed it.

        Versions stay readable for ``keep`` after the next one, and longer for a session that began before that.

        Raises:
            StorageError: if a commit cannot be made.
        """
        began = oldest_session(self.root_path)
        readable = max(keep, now - began + timedelta(hours=1)) if began else keep
        hours = ceil(readable / timedelta(hours=1))
        done = {ref: self.maintain(ref, retention_hours=hours) for ref in self.stored()}
        return {ref: maintained for ref, maintained in done.items() if str(maintained)}

    def maintain(self, ref: str, *, retention_hours: int) -> Maintained:
        """Set the table's statistics right, and remove files no version of the last ``retention_hours`` refers to."""
        return maintain_table(ref, self.path(ref), retention_hours=retention_hours)

    def _replace(
        self,
        ref: str,
        data: pa.RecordBatchReader | pa.Table,
        values: Mapping[str, str | int],
        metadata: Mapping[str, str],
    ) -> WriteResult:
        for value in values.values():
            check_partition_key(ref, value)
        fixed = {name: value for name, value in values.items() if name != PARTITION}
        key = str(values.get(PARTITION, ""))
        constant = {name: value for name, value in fixed.items() if name in data.schema.names}
        kept = pa.schema([field for field in data.schema if field.name not in constant])
        batches = _checked(data.to_batches() if isinstance(data, pa.Table) else data, constant, ref)
        placed = in_partition(batches, key) if key else batches
        return self._write(ref, kept, placed, Replacement(frozenset({key}), fixed), metadata)

    def _write(
        self,
        ref: str,
        columns: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        replaced: Replacement,
        metadata: Mapping[str, str],
    ) -> WriteResult:
        folder, partitions = self.path(ref), sorted(replaced.partitions - {""})
        schema = storable_schema(columns, owner=ref)
        if partitions:
            schema = schema.append(pa.field(PARTITION, pa.string()))
        schema_after(latest_table(folder), folder, schema, replaced, owner=ref)
        with StagedFiles(folder, schema, replaced.values) as staged:
            try:
                staged.write(storable_batches(batches, schema, owner=ref), partitions)
            except MetaplatformError:
                raise
            except OSError as error:
                raise StorageError(owner=ref, culprit=str(error), fix="check the storage root's space") from error
            version = commit_replacement(ref, folder, staged, replaced, metadata=metadata)
        return WriteResult(version, staged.rows, staged.bytes, dict(staged.by_partition))


def _checked(
    batches: Iterable[pa.RecordBatch], constant: Mapping[str, str | int], ref: str
) -> Iterator[pa.RecordBatch]:
    """Yield the batches, having seen that each row belongs to the partition that it is written to."""
    for batch in batches:
        for name, value in constant.items():
            column = batch.column(name)
            if column.null_count or not pc.all(pc.equal(column, pa.scalar(value, column.type)), min_count=0).as_py():
                raise DataError(
                    owner=ref, culprit=f"a row whose {name} is not {value}", fix="write it to its own partition"
                )
        yield batch

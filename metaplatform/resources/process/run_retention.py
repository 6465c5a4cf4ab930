"""What Dagster keeps of old runs, which by itself it keeps for ever: cut down to what its pages and the loop go by.

Of each asset and partition the newest event of each kind stays, and of each check the newest result, with the runs that
they are of: so partitions stay materialized, and all else of those runs goes. Any SQL storage of Dagster's will do.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import sqlalchemy as sa
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.schema import BulkActionsTable, RunsTable, RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

_AT_ONCE = 500
"""Rows of one transaction: nobody waits long for one."""
_SMALLEST_PAGE, _LARGEST_EMPTY = 512, 8192
"""Bytes of a page of SQLite, and of a database that holds no event."""
_MATERIALIZED = dg.DagsterEventType.ASSET_MATERIALIZATION.value
_JUDGED = tuple(
    status.value for status in (AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED)
)
_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value


@dataclass(frozen=True)
class Forgotten:
    """How much was removed: runs, events, and files and folders of logs."""

    runs: int = 0
    events: int = 0
    files: int = 0

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.runs} runs, {self.events} events and {self.files} files of logs removed"


@dataclass(frozen=True)
class RunRetention:
    """Which runs are old: finished, and not touched since ``before``; those of a backfill at work are not.

    Runs that carry the tag ``lasting`` are kept, without their events, and those with ``lasting_failed`` unless they
    succeeded.
    """

    before: datetime
    lasting: str
    lasting_failed: str

    def apply(self, instance: dg.DagsterInstance) -> Forgotten | None:
        """Remove what is old; None if the instance's storage is not one of SQL. Others may be at work meanwhile."""
        events, runs = instance.event_log_storage, instance.run_storage
        if not isinstance(events, SqlEventLogStorage) or not isinstance(runs, SqlRunStorage):
            return None
        removed = sum(self._thin_events(events, runs)) + sum(self._thin_checks(events, runs))
        removed_runs = sum(self._forget_runs(events, runs))
        files = sum(self._remove_files(instance, events, runs))
        return Forgotten(removed_runs, removed, files)

    @property
    def _moment(self) -> datetime:
        """Return the moment as Dagster's databases write it."""
        return self.before.astimezone(UTC).replace(tzinfo=None)

    def _thin_events(self, events: SqlEventLogStorage, runs: SqlRunStorage) -> Iterator[int]:
        """Remove old events with a newer one of their kind, asset and partition, and those of no asset."""
        table = SqlEventLogStorageTable
        for ids in self._of_old_runs(table, table.c.timestamp, events, runs):
            with events.index_connection() as connection:
                gone = connection.execute(_superseded_events(ids)).scalars().all()
                connection.execute(sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(gone)))
                connection.execute(sa.delete(table).where(table.c.id.in_(gone)))
            yield len(gone)

    def _thin_checks(self, events: SqlEventLogStorage, runs: SqlRunStorage) -> Iterator[int]:
        """Remove old results of checks with a newer one of their kind, check and partition."""
        table = AssetCheckExecutionsTable
        for ids in self._of_old_runs(table, table.c.create_timestamp, events, runs):
            with events.index_connection() as connection:
                gone = connection.execute(_superseded_checks(ids)).scalars().all()
                connection.execute(sa.delete(table).where(table.c.id.in_(gone)))
            yield len(gone)

    def _of_old_runs(
        self, table: sa.Table, written: sa.ColumnElement[Any], events: SqlEventLogStorage, runs: SqlRunStorage
    ) -> Iterator[list[int]]:
        """Yield the ids of the rows that old runs have written, some at a time."""
        last = 0
        while True:
            window = sa.select(table.c.id, table.c.run_id).where(table.c.id > last, written < self._moment)
            with events.index_connection() as connection:
                found = connection.execute(window.order_by(table.c.id).limit(_AT_ONCE)).all()
            if not found:
                return
            last = found[-1].id
            old = self._old(runs, {row.run_id for row in found})
            yield [row.id for row in found if row.run_id in old]

    def _forget_runs(self, events: SqlEventLogStorage, runs: SqlRunStorage) -> Iterator[int]:
        """Remove the old runs that nothing is kept of, but for those that the loop goes by."""
        table, last = RunsTable, 0
        # The newest run stays: its number, were it given again, would be older than cursors that have passed it.
        newest = sa.select(sa.func.max(table.c.id)).scalar_subquery()
        while True:
            window = sa.select(table.c.id, table.c.run_id).where(self._is_old, table.c.id > last, table.c.id < newest)
            with runs.connect() as connection:
                found = connection.execute(window.order_by(table.c.id).limit(_AT_ONCE)).all()
            if not found:
                return
            last = found[-1].id
            names = {row.run_id for row in found}
            with events.index_connection() as connection:
                for of_run in (SqlEventLogStorageTable.c.run_id, AssetCheckExecutionsTable.c.run_id):
                    names.difference_update(connection.execute(sa.select(of_run).where(of_run.in_(names))).scalars())
            with runs.connect() as connection:
                wanted = sa.select(table.c.run_id).where(table.c.run_id.in_(names), self._is_old, ~self._lasts)
                gone = connection.execute(wanted).scalars().all()
                connection.execute(sa.delete(RunTagsTable).where(RunTagsTable.c.run_id.in_(gone)))
                connection.execute(sa.delete(table).where(table.c.run_id.in_(gone)))
            yield len(gone)

    def _remove_files(
        self, instance: dg.DagsterInstance, events: SqlEventLogStorage, runs: SqlRunStorage
    ) -> Iterator[int]:
        """Remove what old runs have printed, and, of SQLite, the databases of their events."""
        for paths in self._old_paths(Path(instance.storage_directory()).glob("*-*-*-*-*"), runs):
            for path in paths.values():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            yield len(paths)
        if isinstance(events, SqliteEventLogStorage):
            if Path(events.path_for_shard(RUNLESS_RUN_ID)).exists():
                # Nobody reads these: pages show the copies that are kept of all runs.
                table = SqlEventLogStorageTable
                with events.run_connection(RUNLESS_RUN_ID) as connection:
                    connection.execute(sa.delete(table).where(table.c.timestamp < self._moment))
            folder = Path(events.path_for_shard(INDEX_SHARD_NAME)).parent
            for paths in self._old_paths(folder.glob("*.db"), runs):
                with runs.connect() as connection:
                    known = sa.select(RunsTable.c.run_id).where(RunsTable.c.run_id.in_(paths))
                    kept = set(connection.execute(known).scalars())
                yield sum(_empty(path) if name in kept else _remove_database(path) for name, path in paths.items())

    def _old_paths(self, paths: Iterable[Path], runs: SqlRunStorage) -> Iterator[dict[str, Path]]:
        """Yield those of the paths, named by runs, that are of old ones and were not written since, some at a time."""
        found = {path.stem: path for path in paths if _is_run_id(path.stem)}
        names = [name for name, path in found.items() if path.stat().st_mtime < self.before.timestamp()]
        for begin in range(0, len(names), _AT_ONCE):
            yield {name: found[name] for name in self._old(runs, names[begin : begin + _AT_ONCE])}

    def _old(self, runs: SqlRunStorage, names: Collection[str]) -> set[str]:
        """Return which of these runs are old; one that is not known any more is."""
        kept = sa.select(RunsTable.c.run_id).where(RunsTable.c.run_id.in_(names), ~self._is_old)
        with runs.connect() as connection:
            return set(names).difference(connection.execute(kept).scalars())

    @property
    def _is_old(self) -> sa.ColumnElement[bool]:
        ended = [status.value for status in BULK_ACTION_TERMINAL_STATUSES]
        at_work = sa.select(BulkActionsTable.c.key).where(BulkActionsTable.c.status.not_in(ended))
        return sa.and_(
            RunsTable.c.status.in_([status.value for status in FINISHED_STATUSES]),
            RunsTable.c.update_timestamp < self._moment,
            sa.or_(RunsTable.c.backfill_id.is_(None), RunsTable.c.backfill_id.not_in(at_work)),
        )

    @property
    def _lasts(self) -> sa.ColumnElement[bool]:
        """Tell the runs that stay though nothing else is kept of them."""

        def tagged(key: str) -> sa.ColumnElement[bool]:
            of_run = sa.and_(RunTagsTable.c.run_id == RunsTable.c.run_id, RunTagsTable.c.key == key)
            return sa.exists().where(of_run)

        failed = RunsTable.c.status != dg.DagsterRunStatus.SUCCESS.value
        return sa.or_(tagged(self.lasting), sa.and_(failed, tagged(self.lasting_failed)))


def _superseded_events(ids: Sequence[int]) -> sa.Select[Any]:
    """Return those of these events that nothing shows any more; a materialization is newer than that it was planned.

    The newest of all stays: its number, were it given again, would be older than cursors that have passed it.
    """
    old, newer = SqlEventLogStorageTable.alias(), SqlEventLogStorageTable.alias()
    kinds = (old.c.dagster_event_type, sa.case((old.c.dagster_event_type == _PLANNED, _MATERIALIZED)))
    later = sa.and_(newer.c.asset_key == old.c.asset_key, newer.c.dagster_event_type.in_(kinds), newer.c.id > old.c.id)
    newest = sa.select(sa.func.max(newer.c.id)).scalar_subquery()
    shown = sa.or_(old.c.asset_key.is_(None), _is_followed(old, newer, later))
    return sa.select(old.c.id).where(old.c.id.in_(ids), shown, old.c.id < newest)


def _superseded_checks(ids: Sequence[int]) -> sa.Select[Any]:
    """Return those of these results of checks that a newer one, of a check that has come to its end, has replaced."""
    old, newer = AssetCheckExecutionsTable.alias(), AssetCheckExecutionsTable.alias()
    same = (newer.c[name] == old.c[name] for name in ("asset_key", "check_name"))
    ended = newer.c.execution_status.in_((old.c.execution_status, *_JUDGED))
    later = sa.and_(*same, ended, newer.c.id > old.c.id)
    return sa.select(old.c.id).where(old.c.id.in_(ids), _is_followed(old, newer, later))


def _is_followed(old: Any, newer: Any, later: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Tell whether there is a later row of the same partition, or of none if it has none; each by its own index."""
    return sa.or_(
        sa.exists().where(later, newer.c.partition == old.c.partition).correlate(old),
        sa.and_(old.c.partition.is_(None), sa.exists().where(later, newer.c.partition.is_(None)).correlate(old)),
    )


def _remove_database(path: Path) -> bool:
    for ending in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return True


def _empty(path: Path) -> bool:
    """Leave of a run's database what tells of no event: without it, a process that has read it before would fail."""
    if path.stat().st_size <= _LARGEST_EMPTY:
        return False
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        with closing(sqlite3.connect(path)) as full, closing(sqlite3.connect(draft)) as empty:
            tables = full.execute("SELECT sql FROM sqlite_master WHERE name IN ('event_logs', 'alembic_version')")
            empty.execute(f"PRAGMA page_size = {_SMALLEST_PAGE}")
            for (definition,) in tables.fetchall():
                empty.execute(definition)
            revisions = full.execute("SELECT version_num FROM alembic_version").fetchall()
            empty.executemany("INSERT INTO alembic_version VALUES (?)", revisions)
            empty.commit()
        _remove_database(path)
        draft.replace(path)
    return True


def _is_run_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False

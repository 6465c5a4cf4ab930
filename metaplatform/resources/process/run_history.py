"""Dagster's SQLite databases as our processes write them: the same files, for less.

Dagster opens a database for each event, waits for the disk each time, and makes the database of each run by
migrations. Here connections are kept, a run's database is a copy of an empty one, and the events of a step are written
together at its end. Whoever opens the files with Dagster's own storage finds all that is there.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import sqlalchemy as db
from dagster import DagsterEventType
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy.event import listens_for

_WAIT = frozenset(
    {
        *ASSET_EVENTS,
        *ASSET_CHECK_EVENTS,
        DagsterEventType.STEP_OUTPUT,
        DagsterEventType.RESOURCE_INIT_STARTED,
        DagsterEventType.RESOURCE_INIT_SUCCESS,
        DagsterEventType.LOGS_CAPTURED,
    }
)
"""What may wait for the next event of another kind: a step's start or end, a run's, or a line of its log."""
_MOST_WAITING = 200
_MIRRORED = frozenset({*ASSET_EVENTS, *ASSET_CHECK_EVENTS, *EVENT_TYPE_TO_PIPELINE_RUN_STATUS})


def _kept_engine(place: str) -> db.Engine:
    """Return an engine that keeps its connections; what is committed outlives the process, if not a power cut."""
    engine = db.create_engine(place, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})

    @listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        # Over a write-ahead log: the database stays whole even then.
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


class KeptRuns(SqliteRunStorage):
    """Dagster's runs, over kept connections."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(conn_string, inst_data)
        self._engine = _kept_engine(conn_string)

    @contextmanager
    def connect(self) -> Iterator[db.Connection]:
        """Yield a connection in a transaction."""
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the connections."""
        self._engine.dispose()


class KeptEvents(SqliteEventLogStorage):
    """Dagster's events: a database a run, and one that holds what is asked of all runs."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._lock = threading.RLock()
        self._engines: dict[str, db.Engine] = {}
        self._index: db.Connection | None = None
        self._waiting: list[EventLogEntry] = []
        self._empty = b""

    def store_event(self, event: EventLogEntry) -> None:
        """Take an event; it is written at the end of its step at the latest, and before anything is read."""
        with self._lock:
            self._waiting.append(event)
            if event.dagster_event_type not in _WAIT or len(self._waiting) >= _MOST_WAITING:
                self._write_waiting()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[db.Connection]:
        with self._lock:
            if shard == INDEX_SHARD_NAME and self._index is not None:
                yield self._index
                return
            self._write_waiting()
            with self._engine_of(shard).begin() as connection:
                yield connection

    def _write_waiting(self) -> None:
        """Write the events that wait: a transaction for each run, and one for what is kept of all of them."""
        events, self._waiting = self._waiting, []
        written = [(event, self._event_to_row(event)) for event in events]
        for run_id in dict.fromkeys(event.run_id for event in events):
            rows = [row for event, row in written if event.run_id == run_id]
            with self._engine_of(run_id).begin() as connection:
                connection.execute(SqlEventLogStorageTable.insert(), rows)
            # A page that follows the run looks at this file, and what is new is in the log beside it.
            os.utime(self.path_for_shard(run_id))
        if mirrored := [(event, row) for event, row in written if event.dagster_event_type in _MIRRORED]:
            with self._engine_of(INDEX_SHARD_NAME).begin() as connection:
                self._index = connection
                try:
                    self._mirror(connection, mirrored)
                finally:
                    self._index = None

    def _mirror(self, connection: db.Connection, written: Sequence[tuple[EventLogEntry, dict[str, Any]]]) -> None:
        """Write what is asked of all runs; of the many events of a range of partitions at once."""
        table = SqlEventLogStorageTable
        inserted = table.insert().returning(table.c.id, sort_by_parameter_order=True)
        numbers = connection.execute(inserted, [row for _, row in written]).scalars()
        numbered = [(number, event) for number, (event, _) in zip(numbers, written, strict=True)]
        assets = [(number, event) for number, event in numbered if event.dagster_event_type in ASSET_EVENTS]
        if assets:
            own, of_assets = zip(*assets, strict=True)
            self._store_asset_event_tags(connection, of_assets, own)
        # Of an asset its newest event is kept, of each type: the others would be overwritten at once.
        newest = {(event.get_dagster_event().asset_key, event.dagster_event_type): number for number, event in assets}
        kept = frozenset(newest.values())
        for number, event in assets:
            if number in kept:
                self._store_asset_event(connection, event, number)
        for number, event in numbered:
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, number)

    def _has_asset_key_index_cols_on_connection(self, conn: db.Connection) -> bool:
        # Asked for each event, and answered by reflection; so old a database is not written by this.
        if "_has_index_columns" not in self.__dict__:
            self._has_index_columns = super()._has_asset_key_index_cols_on_connection(conn)
        return self._has_index_columns

    def _engine_of(self, shard: str) -> db.Engine:
        """Return the engine of a database, made if it is not there; of runs, the newest one's is kept alone."""
        if shard not in self._engines:
            for other in {*self._engines} - {INDEX_SHARD_NAME} if shard != INDEX_SHARD_NAME else ():
                self._engines.pop(other).dispose()
            made = self._make(Path(self.path_for_shard(shard)))
            engine = self._engines[shard] = _kept_engine(self.conn_string_for_shard(shard))
            if not made:
                # Of another process, which may be at it still.
                self._initdb(engine, for_index_shard=shard == INDEX_SHARD_NAME)
        return self._engines[shard]

    def _make(self, place: Path) -> bool:
        """Make the database of a run as a copy of an empty one; return False if it is there."""
        if place.exists():
            return False
        if not self._empty:
            self._empty = self._empty_database()
        draft = place.with_suffix(f".{os.getpid()}")
        draft.write_bytes(self._empty)
        try:
            # Dagster's pages make the database of a run that they look at before there is one.
            os.link(draft, place)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def _empty_database(self) -> bytes:
        with TemporaryDirectory() as folder:
            place = Path(folder) / "empty.db"
            engine = db.create_engine(f"sqlite:///{place}")
            self._initdb(engine)
            engine.dispose()
            return place.read_bytes()

    def dispose(self) -> None:
        """Write what waits, and close the connections."""
        with self._lock:
            self._write_waiting()
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()
        super().dispose()


class KeptStorage(DagsterSqliteStorage):
    """Dagster's default storage, over kept connections."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        history = Path(base_dir) / "history"
        self._run_storage = KeptRuns.from_local(str(history))
        self._event_log_storage = KeptEvents(str(history / "runs"))

    @classmethod
    def _of(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        return cls.from_local(inst_data=inst_data, **config_value)

    from_config_value = _of


def kept_storage(home: Path) -> dict[str, object]:
    """Return the settings of Dagster by which the databases below ``home`` are written so."""
    return {
        "storage": {
            "custom": {
                "module": KeptStorage.__module__,
                "class": KeptStorage.__name__,
                "config": {"base_dir": str(home)},
            }
        }
    }

"""What runs leave of each partition, in one SQLite database below the storage root, read by what has changed.

With a rollback journal: measured faster than a write-ahead log for one short change a run, readable on a read-only
disk, and one file at rest. A killed process leaves the database as it was before its change.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from threading import Lock
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote
from uuid import uuid4

from metaplatform.errors import StorageError

V = TypeVar("V")
W = TypeVar("W")
_PATIENCE_SECONDS = 60.0
_TABLES = """
CREATE TABLE IF NOT EXISTS state (id TEXT NOT NULL, change INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS taken (kind TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS owners (
    kind TEXT, owner TEXT, head TEXT NOT NULL, cleared INTEGER NOT NULL, change INTEGER NOT NULL,
    PRIMARY KEY (kind, owner)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partitions (
    kind TEXT, owner TEXT, partition TEXT, value TEXT NOT NULL, change INTEGER NOT NULL,
    PRIMARY KEY (kind, owner, partition)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS changes ON partitions (kind, owner, change)"""
"""``change`` numbers the changes of all owners; ``cleared`` is the last that took all of an owner's partitions away."""


@dataclass(frozen=True)
class _Owner(Generic[V, W]):
    """What a process has read of an owner: as of which change, the values, and what they make."""

    change: int
    values: Mapping[str, V]
    whole: W


@dataclass
class _Known(Generic[V, W]):
    """What a process has read of one database, by owner; ``change`` is the one as of which that is all of it."""

    database: tuple[str, int] = ("", 0)
    change: int = -1
    owners: dict[str, _Owner[V, W]] = field(default_factory=dict)


class Change:
    """One owner's records while they are changed; nobody else changes any meanwhile."""

    def __init__(self, connection: sqlite3.Connection, kind: str, owner: str, number: int) -> None:
        """Look at what there is before the change with this number."""
        self._connection, self._at, self._number = connection, (kind, owner), number
        found = connection.execute("SELECT head, cleared FROM owners WHERE kind = ? AND owner = ?", self._at).fetchone()
        self.head: Any = json.loads(found[0]) if found else None
        self._cleared = found[1] if found else 0

    def has(self, partition: str) -> bool:
        """Tell whether there is a value of a partition."""
        asked = "SELECT 1 FROM partitions WHERE kind = ? AND owner = ? AND partition = ?"
        return self._connection.execute(asked, (*self._at, partition)).fetchone() is not None

    def clear(self) -> None:
        """Take the values of all partitions away."""
        self._connection.execute("DELETE FROM partitions WHERE kind = ? AND owner = ?", self._at)
        self._cleared = self._number

    def keep(self, head: Any, values: Mapping[str, Any]) -> None:
        """Keep JSON values of the whole, and of some partitions."""
        self._connection.execute(
            "INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?, ?)",
            (*self._at, _text(head), self._cleared, self._number),
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO partitions VALUES (?, ?, ?, ?, ?)",
            [(*self._at, partition, _text(value), self._number) for partition, value in values.items()],
        )


Earlier = Callable[[], Iterable[tuple[str, Any, Mapping[str, Any]]]]
"""Owner, and JSON values of its whole and of its partitions, of all that an earlier release has kept in files."""
_known: dict[tuple[Path, str], _Known[Any, Any]] = {}
_reading = Lock()


class PartitionRecords(Generic[V, W]):
    """The records of one ``kind`` in ``database``; ``about`` says what they tell, for people.

    ``decode`` makes a value of the JSON values of a partition, ``whole`` what an owner has of its head and these.
    """

    def __init__(
        self,
        database: Path,
        kind: str,
        *,
        about: str,
        decode: Callable[[Any], V],
        whole: Callable[[Any, Mapping[str, V]], W],
    ) -> None:
        """Look at nothing yet."""
        self._database, self._kind, self._about = database, kind, about
        self._decode, self._whole = decode, whole

    def all(self) -> Mapping[str, W]:
        """Return what is kept, by owner: the same objects as the last time where nothing has changed since.

        Raises:
            StorageError: if the database cannot be read.
        """
        with self._looked("change > ?") as known:
            return {owner: found.whole for owner, found in known.owners.items()}

    def read(self, owner: str) -> W | None:
        """Return what is kept of one owner, None if nothing is; otherwise as :meth:`all`."""
        with self._looked("change > ? AND owner = ?", owner) as known:
            return known.owners[owner].whole if owner in known.owners else None

    @contextmanager
    def changing(self, owner: str) -> Iterator[Change]:
        """Yield an owner's records to be changed: all of it is kept at the end, or nothing.

        Raises:
            StorageError: if the database cannot be written.
        """
        with self._connected("rwc") as connection:
            yield Change(connection, self._kind, owner, _next_change(connection))

    def take_over(self, folder: Path, earlier: Earlier) -> None:
        """Move what an earlier release has kept in files of ``folder`` into the database, if it did; then they go.

        Raises:
            StorageError: if it cannot be read, or the database not be written.
        """
        if not folder.is_dir():
            return
        with self._connected("rwc") as connection:
            # Somebody else may have done so meanwhile, and may still be removing the files.
            if not connection.execute("SELECT 1 FROM taken WHERE kind = ?", (self._kind,)).fetchone():
                connection.execute("INSERT INTO taken VALUES (?)", (self._kind,))
                number = _next_change(connection)
                for owner, head, values in earlier():
                    Change(connection, self._kind, owner, number).keep(head, values)
        rmtree(folder, ignore_errors=True)

    @contextmanager
    def _looked(self, wanted: str, *owner: str) -> Iterator[_Known[V, W]]:
        """Yield what is known, once those of the ``wanted`` owners that have changed are read again."""
        with _reading:
            known = _known.setdefault((self._database, self._kind), _Known())
            try:
                inode = self._database.stat().st_ino
            except FileNotFoundError:
                yield _Known()
                return
            with self._connected("rw") as connection:
                state = _state(connection)
                if known.database != (state[0], inode) or known.change > state[1]:
                    # Another database stands in the place of the one that was known.
                    known.database, known.change, known.owners = (state[0], inode), -1, {}
                if known.change < state[1]:
                    self._refresh(known, connection, wanted, owner)
                    known.change = known.change if owner else state[1]
            yield known

    def _refresh(
        self, known: _Known[V, W], connection: sqlite3.Connection, wanted: str, owner: tuple[str, ...]
    ) -> None:
        asked = f"SELECT owner, head, cleared, change FROM owners WHERE kind = ? AND {wanted}"  # noqa: S608
        for name, head, cleared, change in connection.execute(asked, (self._kind, known.change, *owner)).fetchall():
            before = known.owners.get(name)
            if before is not None and before.change == change:
                continue
            since, values = (-1, {}) if before is None or cleared > before.change else (before.change, before.values)
            rows = connection.execute(
                "SELECT partition, value FROM partitions WHERE kind = ? AND owner = ? AND change > ?",
                (self._kind, name, since),
            )
            try:
                values = {**values, **{partition: self._decode(json.loads(value)) for partition, value in rows}}
                known.owners[name] = _Owner(change, values, self._whole(json.loads(head), values))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise self._damaged(error) from error

    @contextmanager
    def _connected(self, mode: Literal["rw", "rwc"]) -> Iterator[sqlite3.Connection]:
        """Yield the database in one transaction, which is undone if anything fails.

        To look at it takes no rights to write, but to undo what a killed process has left half written.
        """
        writing = mode == "rwc"
        try:
            if writing:
                self._database.parent.mkdir(parents=True, exist_ok=True)
            uri = f"file:{quote(str(self._database))}?mode={mode}"
            with closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE_SECONDS, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
                if writing:
                    _make_tables(connection)
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.OperationalError, OSError) as error:
            raise StorageError(
                owner=str(self._database),
                culprit=f"{self._about} cannot be {'written' if writing else 'read'}: {error}",
                fix="check the storage root's space and rights",
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StorageError:
        return StorageError(
            owner=str(self._database),
            culprit=f"{self._about} cannot be read: {error}",
            fix="restore the file from a backup, or remove it: everything is then made again",
        )


def _make_tables(connection: sqlite3.Connection) -> None:
    for table in _TABLES.split(";"):
        connection.execute(table)
    if connection.execute("SELECT 1 FROM state").fetchone() is None:
        connection.execute("INSERT INTO state VALUES (?, 0)", (str(uuid4()),))


def _state(connection: sqlite3.Connection) -> tuple[str, int]:
    """Return the database's own id and its last change; of one that nobody has written to yet, none."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
        return "", -1
    identity, change = connection.execute("SELECT id, change FROM state").fetchone()
    return str(identity), int(change)


def _next_change(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("UPDATE state SET change = change + 1 RETURNING change").fetchone()
    return int(number)


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))

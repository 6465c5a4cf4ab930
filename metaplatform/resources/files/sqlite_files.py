"""SQLite files that others keep below the root (MLflow, Dagster): whether one can be read at all."""

import os
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from threading import Lock
from urllib.parse import quote

_watching: dict[Path, tuple[int, int, sqlite3.Connection, int]] = {}
_numbers = count()
_asking = Lock()


def change_of(database: Path) -> tuple[int, int] | None:
    """Return what becomes another when anybody changes an SQLite file; None if it cannot be told.

    The time of a file would not do: two changes may have the same. One connection stays open, for SQLite tells it alone
    what others have done since; it holds no lock.
    """
    with _asking:
        try:
            inode, process = database.stat().st_ino, os.getpid()
            known = _watching.get(database)
            if known is None or known[:2] != (inode, process):
                if known is not None and known[1] == process:
                    known[2].close()
                uri = f"file:{quote(str(database))}?mode=ro"
                connection = sqlite3.connect(uri, uri=True, timeout=1, check_same_thread=False, isolation_level=None)
                known = _watching[database] = (inode, process, connection, next(_numbers))
            (version,) = known[2].execute("PRAGMA data_version").fetchone()
        except (OSError, sqlite3.Error):
            return None
    return known[3], int(version)


def damage_of(database: Path) -> str | None:
    """Return what is wrong with an SQLite file, None if it can be read, or is only locked.

    The first page is read, whatever the file's size: SQLite itself sees there that a file is not its own, or was
    cut short.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True, timeout=1)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        return None if "locked" in str(error) else str(error)
    return None

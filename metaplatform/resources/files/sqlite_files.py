"""SQLite files that others keep below the root (MLflow, Dagster): whether one can be read at all."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote


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

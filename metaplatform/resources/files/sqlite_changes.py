"""Whether an SQLite file has changed: a look that costs microseconds, so that what was read of it can be kept."""

import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_MOST_WATCHED = 8
_LOCK = threading.Lock()


@dataclass
class _Watch:
    """A connection that asks for nothing but the number of changes, of the file that was there when it was opened."""

    connection: sqlite3.Connection
    file: tuple[int, int]
    version: int = -1
    state: object = None


_WATCHES: dict[tuple[int, Path], _Watch] = {}


def state_of(database: Path) -> object | None:
    """Return what stands for all that the database holds: the same object until anybody, anywhere, commits to it.

    None if that cannot be told: it is not there, damaged, or locked.
    """
    place = (os.getpid(), database)
    with _LOCK:
        try:
            found = database.stat()
            watch = _watch(place, (found.st_dev, found.st_ino))
            [(version,)] = watch.connection.execute("PRAGMA data_version").fetchall()
        except (OSError, sqlite3.Error):
            _forget(place)
            return None
        if version != watch.version:
            watch.version, watch.state = version, object()
        return watch.state


def _watch(place: tuple[int, Path], file: tuple[int, int]) -> _Watch:
    known = _WATCHES.get(place)
    if known is not None and known.file == file:
        return known
    _forget(place)
    while len(_WATCHES) >= _MOST_WATCHED:
        _forget(next(iter(_WATCHES)))
    address = f"file:{quote(str(place[1]))}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=1, check_same_thread=False, isolation_level=None)
    _WATCHES[place] = _Watch(connection, file)
    return _WATCHES[place]


def _forget(place: tuple[int, Path]) -> None:
    known = _WATCHES.pop(place, None)
    # What another process has opened is not closed here: SQLite forbids it.
    if known is not None and place[0] == os.getpid():
        known.connection.close()

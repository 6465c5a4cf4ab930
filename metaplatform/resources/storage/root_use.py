"""What a storage root is for, the live loop or replays; who is at work in it; and the end of one."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

from filelock import ReadWriteLock, Timeout

from metaplatform.errors import StorageError
from metaplatform.resources.files.file_writing import write_whole

Use = Literal["live", "replay"]

_MARK = "root.json"
_LOCK = "in_use.lock"
_CONTENTS = (
    "warehouse",
    "mlflow.db",
    "mlartifacts",
    "reports",
    "exports",
    "notifications",
    "outbox",
    "dagster",
    "contents",
    "book/built",
    "book/labels",
    "book/matches",
    "book/applied.json",
    "warehouse.duckdb",
    "replay.json",
    "logs",
    "ui.json",
)
"""What replays make below a storage root; another replay removes nothing else, the accepted book least of all."""
_REST = ("book", "mlflow.db.damaged", "tmp", "apply.lock", "ui.lock")
"""What is removed beside that where a root is given up."""


def contents_of(root: Path) -> tuple[str, ...]:
    """Return what of the things that a replay makes is there, relative to ``root``."""
    return tuple(name for name in _CONTENTS if (root / name).exists())


def give_up(root: Path) -> tuple[str, ...]:
    """Remove all that the platform made below ``root``, and ``root`` if it is empty then; return what is left there.

    To be called by whoever is alone at work there, as the last thing.
    """
    remove_contents(root)
    for path in (root / name for name in (*_REST, _LOCK)):
        _remove(path)
    left = tuple(sorted(path.name for path in root.iterdir()))
    if not left:
        root.rmdir()
    return left


def remove_contents(root: Path) -> None:
    """Remove what the platform made below ``root``, and the mark that says what the root is for."""
    for path in (root / name for name in (*contents_of(root), _MARK)):
        _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def use_of(root: Path) -> Use | None:
    """Return what the root was marked as when it was first used; None if it never was. A damaged mark means live."""
    try:
        text = (root / _MARK).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return "replay" if json.loads(text)["use"] == "replay" else "live"
    except (ValueError, KeyError, TypeError):
        return "live"


def mark_root(root: Path, use: Use) -> Use | None:
    """Mark what the root is for, unless it is marked so; return what it was marked as before."""
    before = use_of(root)
    keep_private(root)
    if before != use:
        write_whole(root / _MARK, json.dumps({"use": use}).encode(), folders=True)
    return before


def keep_private(root: Path) -> None:
    """Make a storage root its owner's alone, and so whatever this process and its children make from now on."""
    os.umask(0o077)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid == os.getuid():
        root.chmod(0o700)


def root_in_use(root: Path) -> AbstractContextManager[None]:
    """Work below a storage root, beside others who do: no replay begins there meanwhile, and nobody removes it.

    Raises:
        StorageError: if a replay is at work there, or the root is being removed.
    """
    refusal = StorageError(
        owner=str(root), culprit="a replay is at work there", fix="wait for it, or name another --root"
    )
    return _held(root, lambda lock: lock.acquire_read(blocking=False), refusal)


def root_alone(root: Path) -> AbstractContextManager[None]:
    """Be the only one at work below a storage root.

    Raises:
        StorageError: if it is served, or a replay, an apply or another command is at work there.
    """
    refusal = StorageError(
        owner=str(root),
        culprit="it is in use: `metaplatform ui`, a replay, an apply or another command is at work there",
        fix="stop it or wait for it, or name another --root",
    )
    return _held(root, lambda lock: lock.acquire_write(blocking=False), refusal)


@contextmanager
def _held(root: Path, acquire: Callable[[ReadWriteLock], object], refusal: StorageError) -> Iterator[None]:
    keep_private(root)
    # Not the process's only one: two holders in one process are as strange to each other as two processes.
    lock = ReadWriteLock(root / _LOCK, is_singleton=False)
    try:
        acquire(lock)
    except Timeout:
        raise refusal from None
    try:
        yield
    finally:
        lock.close()

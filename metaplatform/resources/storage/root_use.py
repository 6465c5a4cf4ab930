"""What a storage root is for, the live loop or replays; who is at work in it; and the end of one."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

from filelock import ReadWriteLock, Timeout

from metaplatform import places
from metaplatform.errors import StorageError
from metaplatform.resources.files.file_writing import write_whole

Use = Literal["live", "replay"]


def contents_of(root: Path) -> tuple[str, ...]:
    """Return what of the things that a replay makes is there, relative to ``root``."""
    return tuple(name for name in places.MADE_BY_REPLAYS if (root / name).exists())


def give_up(root: Path) -> tuple[str, ...]:
    """Remove all that the platform made below ``root``, and ``root`` if it is empty then; return what is left there.

    To be called by whoever is alone at work there, as the last thing.
    """
    remove_contents(root)
    for path in (root / name for name in (*places.LEFT_BY_REPLAYS, places.ROOT_LOCK)):
        _remove(path)
    left = tuple(sorted(path.name for path in root.iterdir()))
    if not left:
        root.rmdir()
    return left


def remove_contents(root: Path) -> None:
    """Remove what the platform made below ``root``, and the mark that says what the root is for."""
    for path in (root / name for name in (*contents_of(root), places.ROOT_MARK)):
        _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def use_of(root: Path) -> Use | None:
    """Return what the root was marked as when it was first used; None if it never was. A damaged mark means live."""
    try:
        text = (root / places.ROOT_MARK).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return "replay" if json.loads(text)["use"] == "replay" else "live"
    except (ValueError, KeyError, TypeError):
        return "live"


def holder_of(root: Path) -> str:
    """Return the project that mounts the root's book; ``""`` if it is a deployment of its own, or nobody's yet."""
    try:
        return str(json.loads((root / places.ROOT_MARK).read_text(encoding="utf-8")).get("holder", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def check_holder(root: Path, holder: str = "") -> None:
    """Check that nobody but ``holder`` works the loop of a live root; ``""`` is a deployment of its own.

    Raises:
        StorageError: if somebody does.
    """
    other = holder_of(root)
    if use_of(root) == "live" and other != holder:
        raise StorageError(
            owner=str(root),
            culprit=f"it is the root of the book that {other} mounts" if other else "it is a deployment of its own",
            fix=f"name another root; if that no longer works there, remove {root / places.ROOT_MARK}",
        )


def mark_root(root: Path, use: Use, holder: str = "") -> Use | None:
    """Mark what the root is for, and for whom, unless it is marked so; return what it was marked as before.

    Raises:
        StorageError: if it is live for another ``holder``.
    """
    before = use_of(root)
    check_holder(root, holder)
    # A mounted book's process makes others' files too, whose modes are theirs to choose.
    make_private(root) if holder else keep_private(root)
    if before != use or holder_of(root) != holder:
        mark = {"use": use, **({"holder": holder} if holder else {})}
        write_whole(root / places.ROOT_MARK, json.dumps(mark).encode(), folders=True)
    return before


def keep_private(root: Path) -> None:
    """Make a storage root its owner's alone, and so whatever this process and its children make from now on."""
    os.umask(0o077)
    make_private(root)


def make_private(root: Path) -> None:
    """Make a storage root its owner's alone: nobody else gets at what is below."""
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
    lock = ReadWriteLock(root / places.ROOT_LOCK, is_singleton=False)
    try:
        acquire(lock)
    except Timeout:
        raise refusal from None
    try:
        yield
    finally:
        lock.close()

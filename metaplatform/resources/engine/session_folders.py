"""Folders of temporary files, one a session: those that killed processes left are removed by the next."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from metaplatform import places
from metaplatform.errors import StorageError


@contextmanager
def temporary_folder(root: Path) -> Iterator[Path]:
    """Yield a new folder below ``root/tmp``, removed afterwards, along with those that killed processes left.

    Raises:
        StorageError: if the folder cannot be made.
    """
    parent = root / places.TEMPORARY
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob("session-*"):
            _remove_if_unused(left)
        folder = Path(tempfile.mkdtemp(prefix="session-", dir=parent))
    except OSError as error:
        raise StorageError(
            owner="warehouse", culprit=str(error), fix="check the storage root's space and rights"
        ) from error
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def oldest_session(root: Path) -> datetime | None:
    """Return when the oldest session at work below ``root`` began; None if there is none."""
    parent = root / places.TEMPORARY
    for left in parent.glob("session-*"):
        _remove_if_unused(left)
    began = [lock.stat().st_mtime for lock in parent.glob("session-*/lock")]
    return datetime.fromtimestamp(min(began), UTC) if began else None


def _remove_if_unused(folder: Path) -> None:
    """Remove a folder whose lock nobody holds; one just made has no lock file yet and is left alone."""
    try:
        with (folder / "lock").open("r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return

"""The last resort of the command line: any error as one message with owner, culprit and fix, never a traceback."""

import errno
import sqlite3
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from metaplatform.errors import MetaplatformError, StorageError

_NO_SPACE = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
_ROOM = "make room for it; what was made stays, so run the command again"
_DATABASE_FIXES = {
    "locked": "another process writes to it: wait for it, or stop it, and run the command again",
    "full": _ROOM,
    "disk I/O": _ROOM,
    "readonly": "let the user of this command write below the storage root",
}


def fault_of(error: BaseException) -> MetaplatformError:
    """Return the fault behind any error: ours, the disk's, a database's; of anything else, where its details are."""
    for cause in _causes(error):
        if isinstance(cause, MetaplatformError):
            return cause
        if isinstance(cause, OSError) and cause.errno in _NO_SPACE:
            return StorageError(owner=str(cause.filename or "disk"), culprit="no space is left on the disk", fix=_ROOM)
        if isinstance(cause, sqlite3.Error):
            return _database_fault(cause)
        if isinstance(cause, OSError) and cause.filename:
            return StorageError(
                owner=str(cause.filename), culprit=str(cause.strerror or cause), fix="check that it is there, and whose"
            )
    return _unexpected(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then what it was made of, down to the first."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _database_fault(error: sqlite3.Error) -> MetaplatformError:
    fixes = (fix for words, fix in _DATABASE_FIXES.items() if words in str(error))
    return StorageError(
        owner="a database below the storage root (mlflow.db, dagster/)",
        culprit=str(error),
        fix=next(fixes, "restore it from a backup"),
    )


def _unexpected(error: BaseException) -> MetaplatformError:
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="metaplatform-", suffix=".log", delete=False
    ) as file:
        file.writelines(traceback.format_exception(error))
    first = str(error).strip().splitlines()
    return MetaplatformError(
        owner="metaplatform",
        culprit=f"an unexpected error ({type(error).__name__}{': ' + first[0] if first else ''})",
        fix=f"report it with the details in {Path(file.name)}",
    )

"""One at a time below a storage root; the kernel frees the lock of a killed one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from metaplatform.errors import MetaplatformError


@contextmanager
def sole_holder(lock: Path, refusal: MetaplatformError) -> Iterator[None]:
    """Hold the lock file ``lock``, whose folder is made if it is not there.

    Raises:
        MetaplatformError: ``refusal``, if another holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(blocking=False)
    except Timeout:
        raise refusal from None
    try:
        yield
    finally:
        held.release()

"""Files written whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes, *, folders: bool = False) -> None:
    """Replace a file's content at once, its permissions kept; a link's target is replaced, not the link.

    The folder must be there; ``folders`` makes those that are missing.

    Raises:
        OSError: if the file cannot be written; then it is as it was.
    """
    target = path.resolve()
    if folders:
        target.parent.mkdir(parents=True, exist_ok=True)
    handle, made = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(made).chmod(target.stat().st_mode if target.exists() else _mode_of_new_files())
        Path(made).replace(target)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def _mode_of_new_files() -> int:
    # What files may be is only told by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o644 & ~mask

"""Small records as JSON files: replaced whole, and parsed again only when they have changed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaplatform.errors import StorageError
from metaplatform.resources.files.file_writing import write_whole

_parsed: dict[Path, tuple[tuple[int, int, int], dict[str, Any]]] = {}


def read_record(path: Path, *, about: str) -> dict[str, Any] | None:
    """Return what a file holds, None if there is none; ``about`` says what it tells, for people.

    Raises:
        StorageError: if it is damaged.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
    known = _parsed.get(path)
    if known is None or known[0] != stamp:
        try:
            known = _parsed[path] = (stamp, json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise damaged(path, about) from error
    return known[1]


def damaged(path: Path, about: str) -> StorageError:
    """Return the error for a record that cannot be understood."""
    return StorageError(owner=str(path), culprit=f"{about} cannot be read", fix="remove the file; it is made again")


def write_record(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a record as a whole."""
    write_whole(path, json.dumps(values, separators=(",", ":")).encode(), folders=True)

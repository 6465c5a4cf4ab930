"""Snapshots of a database's book below the storage root: files by content, and which of them is accepted."""

import json
from pathlib import Path

from metaplatform import places
from metaplatform.errors import StorageError
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.specs.snapshots import Snapshot


class BookSnapshots:
    """Snapshot files, never changed once written, and the name of the accepted one, replaced atomically."""

    def __init__(self, root: Path) -> None:
        """Take the storage root."""
        self._root = root

    def accepted(self) -> str | None:
        """Return the hash of the accepted snapshot, or None if there is none yet."""
        try:
            return self._pointer.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None

    def accept(self, book_hash: str, snapshot: Snapshot) -> str:
        """Keep a sound snapshot and make it the accepted one; return its hash."""
        path = self._path(book_hash)
        if not path.exists():
            write_whole(path, json.dumps(snapshot, indent=1).encode(), folders=True)
        write_whole(self._pointer, f"{book_hash}\n".encode(), folders=True)
        return book_hash

    def read(self, book_hash: str) -> Snapshot:
        """Return a snapshot.

        Raises:
            StorageError: if it is not there, or is not JSON.
        """
        path = self._path(book_hash)
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise StorageError(
                owner="book snapshot",
                culprit=f"{book_hash} cannot be read ({type(error).__name__})",
                fix=f"delete {self._pointer}: the next load takes the book from the database again",
            ) from error

    @property
    def _pointer(self) -> Path:
        return self._root / places.ACCEPTED

    def _path(self, book_hash: str) -> Path:
        if not book_hash.isalnum():
            raise StorageError(owner="book snapshot", culprit=f"'{book_hash}' is not a hash", fix="use hex digits")
        return self._root / places.SNAPSHOTS / f"{book_hash}.json"

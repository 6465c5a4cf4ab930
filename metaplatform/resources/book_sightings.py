"""What this checkout last saw of a database's book, and which files a pull wrote: kept below the storage root."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from metaplatform.naming import stable_id


def replace_file(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).replace(path)
    path.chmod(0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class BookSightings:
    """Remembers, for each database by its name without password, the hash of each entity when last seen."""

    def __init__(self, root: Path) -> None:
        """Take the storage root."""
        self._folder = root / "book" / "seen"

    def entities(self, database: str) -> dict[str, str]:
        """Return the hashes by reference; none if the database was never seen from here."""
        return self._read(self._path(database))

    def keep(self, database: str, hashes: Mapping[str, str]) -> None:
        """Remember the hashes in place of what was seen before."""
        replace_file(self._path(database), json.dumps({"database": database, "hashes": dict(hashes)}, indent=1))

    def pulled_files(self, folder: Path) -> dict[str, str]:
        """Return the content hash of each file that the last pull into ``folder`` wrote."""
        return self._read(self._path(str(folder.resolve())))

    def keep_pulled(self, folder: Path, hashes: Mapping[str, str]) -> None:
        """Remember the files of a pull."""
        self.keep(str(folder.resolve()), hashes)

    def _path(self, subject: str) -> Path:
        return self._folder / f"{stable_id(subject)}.json"

    def _read(self, path: Path) -> dict[str, str]:
        try:
            return dict(json.loads(path.read_text(encoding="utf-8"))["hashes"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def file_hash(text: str) -> str:
    """Return the content hash of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()

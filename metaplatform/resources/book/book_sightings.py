"""What this checkout last saw of a database's book, and which files a pull wrote: kept below the storage root."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from metaplatform import places
from metaplatform.naming import stable_id
from metaplatform.resources.files.file_writing import write_whole


class BookSightings:
    """Remembers what a folder's book was last known to share with a database: the hash of each entity.

    The database goes by its name without password. Another folder is another person's: it has seen nothing of it.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        """Take the storage root and the folder of the book's YAML files."""
        self._sightings, self._folder = root / places.SEEN, str(folder.resolve())

    def entities(self, database: str) -> dict[str, str]:
        """Return the hashes by reference; none if the database was never seen from this folder."""
        return self._read(self._path(database))

    def keep(self, database: str, hashes: Mapping[str, str]) -> None:
        """Remember the hashes in place of what was seen before."""
        self._write(database, hashes)

    def pulled_files(self) -> dict[str, str]:
        """Return the content hash of each file that the last pull into the folder wrote."""
        return self._read(self._path(""))

    def keep_pulled(self, hashes: Mapping[str, str]) -> None:
        """Remember the files of a pull."""
        self._write("", hashes)

    def _write(self, subject: str, hashes: Mapping[str, str]) -> None:
        values = {"folder": self._folder, "database": subject, "hashes": dict(hashes)}
        write_whole(self._path(subject), json.dumps(values, indent=1).encode(), folders=True)

    def _path(self, subject: str) -> Path:
        return self._sightings / f"{stable_id(self._folder, subject)}.json"

    def _read(self, path: Path) -> dict[str, str]:
        try:
            return dict(json.loads(path.read_text(encoding="utf-8"))["hashes"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def file_hash(text: str) -> str:
    """Return the content hash of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()

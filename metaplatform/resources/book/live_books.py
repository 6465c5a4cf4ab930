"""Which book each live code server serves, noted by itself below the storage root."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from metaplatform import places
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.resources.run_launcher import process_lives


@dataclass(frozen=True, order=True)
class LiveBook:
    """A code server that lives: when it began (Unix seconds), its process, and the content of the book it serves."""

    started: float
    pid: int
    content: str


class LiveBooks:
    """The notes of a root's code servers: ``book/live/<process id>.json``."""

    def __init__(self, root: Path) -> None:
        """Take the storage root."""
        self._folder = root / places.LIVE

    def note(self, content: str) -> None:
        """Note that this process serves the book of ``content``, if that can be written; drop notes of dead ones."""
        own = LiveBook(psutil.Process().create_time(), os.getpid(), content)
        with suppress(OSError):
            for path, found in self._notes():
                if found is None or not process_lives(found.pid, found.started):
                    path.unlink(missing_ok=True)
            write_whole(self._folder / f"{own.pid}.json", json.dumps(asdict(own)).encode(), folders=True)

    def newest(self) -> LiveBook | None:
        """Return what the code server that began last serves, None if none lives.

        One that is replaced lives on until its last run has ended; the loop no longer asks it.
        """
        living = (found for _, found in self._notes() if found is not None and process_lives(found.pid, found.started))
        return max(living, default=None)

    def _notes(self) -> Iterator[tuple[Path, LiveBook | None]]:
        for path in self._folder.glob("*.json"):
            try:
                found = json.loads(path.read_bytes())
                yield path, LiveBook(float(found["started"]), int(found["pid"]), str(found["content"]))
            except (OSError, ValueError, KeyError, TypeError):
                yield path, None

"""What each source was found to hold when it was read last: a small file a source below the storage root."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from metaplatform import places
from metaplatform.chapters import SOURCES
from metaplatform.resources.delta.delta_tables import table_folder
from metaplatform.resources.files.json_records import damaged, read_record, write_record
from metaplatform.resources.process.remembered import Remembered
from metaplatform.specs.book.source_contents import FileContent, PartitionContent, SourceContents

"""Below the storage root."""
_ABOUT = "what the source held"
_TIMES = ("arrived_at", "first", "last", "asked_at")
_known: Remembered[Path, SourceContents] = Remembered()


class ContentRecords:
    """The records below storage root ``root``; each is replaced atomically, by the run that has read the source."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, source: str) -> SourceContents | None:
        """Return what the source held; None if it was never read.

        Raises:
            StorageError: if its file is damaged.
        """
        path = self._path(source)
        kept = read_record(path, about=_ABOUT)
        return None if kept is None else _known.of(path, (kept,), partial(_contents, kept, path))

    def keep(self, source: str, contents: SourceContents) -> None:
        """Keep what the source was found to hold."""
        plain = asdict(replace(contents, partitions={}, faulty={}))
        times = {name: value.isoformat() if (value := plain[name]) else None for name in _TIMES}
        partitions = {key: asdict(found) for key, found in contents.partitions.items()}
        faulty = {name: asdict(found) for name, found in contents.faulty.items()}
        write_record(self._path(source), {**plain, **times, "partitions": partitions, "faulty": faulty})

    def _path(self, source: str) -> Path:
        table_folder(self._root, SOURCES.ref(source))  # refuses what is not a name
        return self._root / places.CONTENTS / f"{source}.json"


def _contents(kept: Mapping[str, Any], path: Path) -> SourceContents:
    try:
        times = {name: datetime.fromisoformat(kept[name]) if kept.get(name) else None for name in _TIMES}
        arrived = datetime.fromisoformat(kept["arrived_at"])
        partitions = {key: PartitionContent(**found) for key, found in kept["partitions"].items()}
        faulty = {name: FileContent(**found) for name, found in kept.get("faulty", {}).items()}
        plain = {**kept, **times, "arrived_at": arrived, "paths": tuple(kept["paths"])}
        return SourceContents(**{**plain, "partitions": partitions, "faulty": faulty})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise damaged(path, _ABOUT) from error

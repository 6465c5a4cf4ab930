"""What each source was found to hold when it was read last: a small file a source below the storage root."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from metaplatform.specs.book.source_contents import (
    FileContent,
    PartitionContent,
    SourceContents,
    StagedFile,
    StagedFiles,
)

_ABOUT = "what the source held"
_FILES = ".files.json"
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
        # Of thousands of partitions, `asdict` would take longer than the rows of one hour do.
        partitions = {key: vars(found) for key, found in contents.partitions.items()}
        faulty = {name: asdict(found) for name, found in contents.faulty.items()}
        write_record(self._path(source), {**plain, **times, "partitions": partitions, "faulty": faulty})

    def files(self, source: str) -> StagedFiles | None:
        """Return how its rows were staged by file; None if that is not known. Only readings ask: there may be many."""
        kept = read_record(self._path(source, _FILES), about=_ABOUT)
        try:
            return None if kept is None else _staged_files(kept)
        except (KeyError, TypeError, AttributeError, ValueError):
            return None

    def keep_files(self, source: str, staged: StagedFiles) -> None:
        """Keep how its rows are staged by file."""
        files = {path: [found.number, found.mark] for path, found in staged.files.items()}
        kinds = {name: sorted(found) for name, found in staged.kinds.items()}
        plain = {name: getattr(staged, name) for name in ("mark", "engine", "tables", "columns", "alike")}
        write_record(self._path(source, _FILES), {**plain, "kinds": kinds, "files": files})

    @contextmanager
    def reading(self, source: str) -> Iterator[None]:
        """Let one process at a time read a source; the kernel frees the lock of a killed one."""
        path = self._path(source, ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _path(self, source: str, ending: str = ".json") -> Path:
        table_folder(self._root, SOURCES.ref(source))  # refuses what is not a name
        return self._root / places.CONTENTS / f"{source}{ending}"


def _staged_files(kept: Mapping[str, Any]) -> StagedFiles:
    files = {path: StagedFile(*found) for path, found in kept["files"].items()}
    kinds = {name: frozenset(found) for name, found in kept["kinds"].items()}
    return StagedFiles(**{**kept, "kinds": kinds, "files": files})


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

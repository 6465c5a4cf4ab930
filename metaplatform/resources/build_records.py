"""What was made from what: a small file for each asset below the storage root, and the book that last ran.

Delta's log says it too, commit by commit, but forgets: entries older than its retention go. These files hold as much
as there are partitions, and are replaced atomically, one process at a time.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from metaplatform.errors import StorageError
from metaplatform.naming import asset_path
from metaplatform.resources.delta_tables import table_folder
from metaplatform.resources.file_writing import write_whole
from metaplatform.specs.builds import Built, BuiltPartition

FOLDER = "book"
"""Below the storage root."""

_parsed: dict[Path, tuple[tuple[int, int, int], dict[str, Any]]] = {}


class BuildRecords:
    """The records below storage root ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, ref: str) -> Built | None:
        """Return what is known of the asset; None if no step has made it.

        Raises:
            StorageError: if its file is damaged.
        """
        return _read(self._path(ref))

    def refs(self) -> tuple[str, ...]:
        """Return every reference there is a record of, sorted."""
        found = (self._root / FOLDER / "built").glob("*/*.json")
        return tuple(sorted(f"{path.parent.name}.{path.stem}" for path in found))

    def keep(self, ref: str, fields: Mapping[str, Any], partition: str, made: BuiltPartition) -> None:
        """Keep that a partition (``""``: all of it) was just made of an entity with ``fields``."""

        def change(before: Built | None) -> Built:
            others = dict(before.partitions) if before and partition and "" not in before.partitions else {}
            return Built(fields, {**others, partition: made}, unfinished=before.unfinished if before else False)

        self._change(ref, change)

    def begin(self, ref: str, fields: Mapping[str, Any]) -> None:
        """Keep that the asset is made anew from nothing, until :meth:`finish` says that it is whole."""
        self._change(ref, lambda _: Built(fields, {}, unfinished=True))

    def finish(self, ref: str) -> None:
        """Keep that the asset, begun from nothing, is whole."""
        self._change(ref, lambda before: replace(before or Built({}), unfinished=False))

    def applied(self) -> Mapping[str, Any]:
        """Return the snapshot of the book that last ran here, empty if none has."""
        kept: Mapping[str, Any] = _json(self._root / FOLDER / "applied.json") or {}
        book: Mapping[str, Any] = kept.get("book", {})
        return book

    def apply(self, book_id: str, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Keep a book as the one that last ran here; ``snapshot`` is asked only if it is another one."""
        path = self._root / FOLDER / "applied.json"
        if (_json(path) or {}).get("id") != book_id:
            _replace(path, {"id": book_id, "book": snapshot()})

    def _path(self, ref: str) -> Path:
        table_folder(self._root, ref)  # refuses what is no reference
        prefix, name = asset_path(ref)
        return self._root / FOLDER / "built" / prefix / f"{name}.json"

    def _change(self, ref: str, change: Callable[[Built | None], Built]) -> None:
        path = self._path(ref)
        folder = self._root / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", is_singleton=True):
            _replace(path, asdict(change(_read(path))))


def _read(path: Path) -> Built | None:
    kept = _json(path)
    if kept is None:
        return None
    try:
        partitions = {key: BuiltPartition(**made) for key, made in kept["partitions"].items()}
        return Built(kept["fields"], partitions, unfinished=kept["unfinished"])
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _json(path: Path) -> dict[str, Any] | None:
    """Return what a file holds, parsed again only when it has changed; None if there is no file."""
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
            raise _damaged(path) from error
    return known[1]


def _damaged(path: Path) -> StorageError:
    return StorageError(
        owner=str(path), culprit="what the asset was made from cannot be read", fix="remove the file; it is made again"
    )


def _replace(path: Path, values: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(values, separators=(",", ":")).encode(), folders=True)

"""What was made from what: a small file for each asset below the storage root, and the book that last ran.

Delta's log says it too, commit by commit, but forgets: entries older than its retention go. These files hold as much
as there are partitions, and are replaced atomically, one process at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from metaplatform import places
from metaplatform.naming import asset_path
from metaplatform.resources.delta.delta_tables import table_folder
from metaplatform.resources.files.json_records import damaged, read_record, write_record
from metaplatform.specs.book.builds import Built, BuiltPartition

"""Below the storage root."""

_ABOUT = "what the asset was made from"


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
        found = (self._root / places.BUILT).glob("*/*.json")
        return tuple(sorted(f"{path.parent.name}.{path.stem}" for path in found))

    def keep(self, ref: str, fields: Mapping[str, Any], made: Mapping[str, BuiltPartition]) -> None:
        """Keep that some partitions (``""``: all of it) were just made of an entity with ``fields``, in one write."""

        def change(before: Built | None) -> Built:
            others = before.partitions if before and "" not in {*before.partitions, *made} else {}
            return Built(fields, {**others, **made}, unfinished=before.unfinished if before else False)

        self._change(ref, change)

    def begin(self, ref: str, fields: Mapping[str, Any]) -> None:
        """Keep that the asset is made again from nothing, until :meth:`finish` says that it is whole."""
        self._change(ref, lambda _: Built(fields, {}, unfinished=True))

    def finish(self, ref: str) -> None:
        """Keep that the asset, begun from nothing, is whole."""
        self._change(ref, lambda before: replace(before or Built({}), unfinished=False))

    def applied(self) -> Mapping[str, Any]:
        """Return the snapshot of the book that last ran here, empty if none has."""
        kept: Mapping[str, Any] = read_record(self._root / places.APPLIED, about=_ABOUT) or {}
        book: Mapping[str, Any] = kept.get("book", {})
        return book

    def apply(self, book_id: str, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        """Keep a book as the one that last ran here; ``snapshot`` is asked only if it is another one."""
        path = self._root / places.APPLIED
        if (read_record(path, about=_ABOUT) or {}).get("id") != book_id:
            write_record(path, {"id": book_id, "book": snapshot()})

    def _path(self, ref: str) -> Path:
        table_folder(self._root, ref)  # refuses what is not a reference
        prefix, name = asset_path(ref)
        return self._root / places.BUILT / prefix / f"{name}.json"

    def _change(self, ref: str, change: Callable[[Built | None], Built]) -> None:
        path = self._path(ref)
        folder = self._root / places.BOOK
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", is_singleton=True):
            write_record(path, asdict(change(_read(path))))


def _read(path: Path) -> Built | None:
    kept = read_record(path, about=_ABOUT)
    if kept is None:
        return None
    try:
        partitions = {key: BuiltPartition(**made) for key, made in kept["partitions"].items()}
        return Built(kept["fields"], partitions, unfinished=kept["unfinished"])
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(path, _ABOUT) from error

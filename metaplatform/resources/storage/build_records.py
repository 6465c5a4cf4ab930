"""What was made from what, by asset and partition, and the book that last ran.

Delta's log says it too, commit by commit, but forgets: entries older than its retention go.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from metaplatform import places
from metaplatform.resources.delta.delta_tables import table_folder
from metaplatform.resources.files.json_records import damaged, read_record, write_record
from metaplatform.resources.storage.partition_records import Change, PartitionRecords
from metaplatform.specs.book.builds import Built, BuiltPartition

_ABOUT = "what the assets were made from"


class BuildRecords:
    """The records below storage root ``root``; several processes may change them at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._records = PartitionRecords(root / places.RECORDS, "built", about=_ABOUT, decode=_partition, whole=_whole)

    def read(self, ref: str) -> Built | None:
        """Return what is known of the asset; None if no step has made it.

        Raises:
            StorageError: if the records are damaged.
        """
        self._take_over()
        return self._records.read(ref)

    def all(self) -> Mapping[str, Built]:
        """Return what is known of every asset, by reference: where nothing has changed, the same objects again.

        Raises:
            StorageError: if the records are damaged.
        """
        self._take_over()
        return self._records.all()

    def keep(self, ref: str, fields: Mapping[str, Any], made: Mapping[str, BuiltPartition]) -> None:
        """Keep that some partitions (``""``: all of it) were just made of an entity with ``fields``, in one write."""

        def change(records: Change) -> None:
            if "" in made or records.has(""):
                records.clear()
            unfinished = records.head["unfinished"] if records.head else False
            records.keep(_head(fields, unfinished=unfinished), {key: asdict(found) for key, found in made.items()})

        self._change(ref, change)

    def begin(self, ref: str, fields: Mapping[str, Any]) -> None:
        """Keep that the asset is made again from nothing, until :meth:`finish` says that it is whole."""

        def change(records: Change) -> None:
            records.clear()
            records.keep(_head(fields, unfinished=True), {})

        self._change(ref, change)

    def finish(self, ref: str) -> None:
        """Keep that the asset, begun from nothing, is whole."""
        self._change(ref, lambda records: records.keep({**(records.head or _head({})), "unfinished": False}, {}))

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

    def _change(self, ref: str, change: Callable[[Change], None]) -> None:
        table_folder(self._root, ref)  # refuses what is not a reference
        self._take_over()
        with self._records.changing(ref) as records:
            change(records)

    def _take_over(self) -> None:
        folder = self._root / places.BUILT
        self._records.take_over(folder, lambda: _earlier(folder))


def _head(fields: Mapping[str, Any], *, unfinished: bool = False) -> dict[str, Any]:
    return {"fields": fields, "unfinished": unfinished}


def _whole(head: Mapping[str, Any], partitions: Mapping[str, BuiltPartition]) -> Built:
    return Built(head["fields"], partitions, unfinished=head["unfinished"])


def _partition(values: dict[str, Any]) -> BuiltPartition:
    # Thousands of partitions were made of the same book: one object says so.
    return BuiltPartition(**{**values, "inputs": _inputs(tuple(values["inputs"].items()))})


@lru_cache(maxsize=65_536)
def _inputs(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return dict(items)


def _earlier(folder: Path) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield what an earlier release has kept, a file an asset."""
    for path in sorted(folder.glob("*/*.json")):
        kept = read_record(path, about=_ABOUT)
        try:
            if kept is not None:
                partitions = {key: asdict(_partition(made)) for key, made in kept["partitions"].items()}
                yield (
                    f"{path.parent.name}.{path.stem}",
                    _head(kept["fields"], unfinished=kept["unfinished"]),
                    partitions,
                )
        except (KeyError, TypeError, AttributeError) as error:
            raise damaged(path, _ABOUT) from error

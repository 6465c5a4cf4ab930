"""Matches by reaction and partition: a small file for each reaction, which holds only what is still to be acted on."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock

from metaplatform import places
from metaplatform.errors import StorageError
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.specs.records.matches import Matches

"""Below the storage root."""
_Partitions = dict[str, Matches]


class MatchRecords:
    """The records below storage root ``root``; several processes may change them at once."""

    def __init__(self, root: Path) -> None:
        self._folder = root / places.MATCHES

    def read(self, reaction: str) -> _Partitions:
        """Return the open matches of a reaction by partition (``""`` where there are none).

        Raises:
            StorageError: if its file is damaged.
        """
        path = self._path(reaction)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return {partition: Matches(**values) for partition, values in kept.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            raise StorageError(
                owner=str(path),
                culprit="what the reaction has still to act on cannot be read",
                fix="remove the file, and materialize the partitions of the prediction that it is to act on",
            ) from error

    def keep(self, reaction: str, found: Mapping[str, Matches]) -> None:
        """Keep what some partitions were just found to hold; what was told of a hold stays known."""

        def change(kept: _Partitions) -> None:
            for partition, matches in found.items():
                before = kept.get(partition)
                kept[partition] = replace(matches, held=before.held) if before else matches

        self._change(reaction, change)

    def settle(self, reaction: str, partition: str, run_id: str) -> None:
        """Keep that what was scored by ``run_id`` is acted on; what was scored since stays open."""

        def change(kept: _Partitions) -> None:
            if partition in kept and kept[partition].run_id == run_id:
                kept[partition] = replace(kept[partition], rows=0)

        self._change(reaction, change)

    def hold(self, reaction: str, partition: str, finding: str) -> None:
        """Keep that people were told of the finding that holds a partition back (``""``: that nothing does)."""

        def change(kept: _Partitions) -> None:
            if partition in kept:
                kept[partition] = replace(kept[partition], held=finding)

        self._change(reaction, change)

    def _path(self, reaction: str) -> Path:
        return self._folder / f"{reaction}.json"

    def _change(self, reaction: str, change: Callable[[_Partitions], None]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".lock", is_singleton=True):
            kept = self.read(reaction)
            change(kept)
            still_open = {key: asdict(found) for key, found in kept.items() if found.rows or found.held}
            write_whole(self._path(reaction), json.dumps(still_open, indent=1).encode())

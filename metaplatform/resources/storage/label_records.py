"""How many labels each partition has: a small file for each model below the storage root, replaced atomically."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from metaplatform import places
from metaplatform.errors import StorageError
from metaplatform.resources.files.file_writing import write_whole

"""Below the storage root."""
Counted = Mapping[str, Mapping[int, tuple[int, float, float]]]
"""Partition (``""`` where there are none) → number of the step since 1970 → rows, smallest and largest label."""

_parsed: dict[Path, tuple[tuple[int, int, int], str, Counted]] = {}


class LabelRecords:
    """The label counts below storage root ``root``.

    ``definition`` identifies what is counted, and how: counts of another definition are as good as none.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / places.LABELS

    def read(self, model: str, definition: str) -> Counted:
        """Return what was counted, by partition; a file is parsed again only when it has changed.

        Raises:
            StorageError: if the file is damaged.
        """
        path = self._folder / f"{model}.json"
        try:
            found = path.stat()
        except FileNotFoundError:
            return {}
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        known = _parsed.get(path)
        if known is None or known[0] != stamp:
            known = _parsed[path] = (stamp, *_content(path))
        return known[2] if known[1] == definition else {}

    def keep(self, model: str, definition: str, counted: Counted) -> None:
        """Keep the counts of some partitions; what was kept of others of this definition stays."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".lock", is_singleton=True):
            partitions = {**self.read(model, definition), **counted}
            rows = {key: [[step, *tally] for step, tally in steps.items()] for key, steps in partitions.items()}
            content = json.dumps({"definition": definition, "partitions": rows}, separators=(",", ":"))
            write_whole(self._folder / f"{model}.json", content.encode(), folders=True)


def _content(path: Path) -> tuple[str, Counted]:
    try:
        kept: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        partitions = {
            key: {int(step): (int(rows), float(least), float(greatest)) for step, rows, least, greatest in steps}
            for key, steps in kept["partitions"].items()
        }
        return str(kept["definition"]), partitions
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            owner=str(path), culprit="how many labels there are cannot be read", fix="remove the file; it is made again"
        ) from error

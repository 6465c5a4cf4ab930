"""How many labels each partition of a model's features has."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metaplatform import places
from metaplatform.errors import StorageError
from metaplatform.resources.storage.partition_records import PartitionRecords

_Steps = Mapping[int, tuple[int, float, float]]
Counted = Mapping[str, _Steps]
"""Partition (``""`` where there are none) → number of the step since 1970 → rows, smallest and largest label."""
_NOTHING: Counted = {}


class LabelRecords:
    """The label counts below storage root ``root``; several processes may change them at once.

    ``definition`` identifies what is counted, and how: counts of another definition are as good as none.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / places.LABELS
        self._records = PartitionRecords(
            root / places.RECORDS,
            "labels",
            about="how many labels there are",
            decode=_steps,
            whole=lambda definition, counted: (definition, counted),
        )

    def read(self, model: str, definition: str) -> Counted:
        """Return what was counted, by partition: where nothing has changed, the same object again.

        Raises:
            StorageError: if the records are damaged.
        """
        self._take_over()
        known, counted = self._records.read(model) or ("", {})
        return counted if known == definition else _NOTHING

    def keep(self, model: str, definition: str, counted: Counted) -> None:
        """Keep the counts of some partitions; what was kept of others of this definition stays."""
        self._take_over()
        with self._records.changing(model) as records:
            if records.head != definition:
                records.clear()
            rows = {key: [[step, *tally] for step, tally in steps.items()] for key, steps in counted.items()}
            records.keep(definition, rows)

    def _take_over(self) -> None:
        self._records.take_over(self._folder, lambda: _earlier(self._folder))


def _steps(values: Any) -> _Steps:
    return {int(step): (int(rows), float(least), float(greatest)) for step, rows, least, greatest in values}


def _earlier(folder: Path) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield what an earlier release has kept, a file a model."""
    for path in sorted(folder.glob("*.json")):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            for steps in kept["partitions"].values():
                _steps(steps)
            yield path.stem, str(kept["definition"]), kept["partitions"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(
                owner=str(path),
                culprit="how many labels there are cannot be read",
                fix="remove the file; it is made again",
            ) from error

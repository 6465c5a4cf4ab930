"""What each asset was last made from: kept by the step that made it, whoever asked for the run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metaplatform.specs.lineage import lineage_hash
from metaplatform.specs.reads import Reach


@dataclass(frozen=True)
class BuiltPartition:
    """One partition (``""`` where there are none) as it was last made.

    ``inputs`` is the lineage hash of each input as it was read. ``seconds`` is how long the step took.
    ``model_version`` is the version that was asked to score a prediction; it may have learnt from all of its rows.
    """

    spec_hash: str
    inputs: Mapping[str, str]
    seconds: float
    run_id: str
    model_version: int | None = None

    @property
    def lineage(self) -> str:
        """Return the lineage hash of what is stored."""
        return lineage_hash(self.spec_hash, self.inputs)


@dataclass(frozen=True)
class Built:
    """An entity as it was last made: its fields then, and its partitions.

    ``unfinished`` says that making it anew was begun, from nothing, and never came to its end.
    """

    fields: Mapping[str, Any]
    partitions: Mapping[str, BuiltPartition] = field(default_factory=dict)
    unfinished: bool = False

    def lineage(self, partition: str | None, reach: Reach) -> str:
        """Return the lineage of what a reader of ``partition`` finds here within its reach, ``""`` if nothing.

        Partitions that were made from different books have, together, a lineage that no book has.
        """
        found = sorted({made.lineage for made in self._within(partition, reach)})
        return found[0] if len(found) == 1 else "+".join(found)

    def _within(self, partition: str | None, reach: Reach) -> Iterable[BuiltPartition]:
        if reach == "whole" or not partition:
            return self.partitions.values()
        if reach == "same":
            return [self.partitions[partition]] if partition in self.partitions else []
        return [made for key, made in self.partitions.items() if key <= partition]

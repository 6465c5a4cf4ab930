"""What each asset was last made from: kept by the step that made it, whoever asked for the run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from metaplatform.specs.book.lineage import lineage_hash
from metaplatform.specs.fields.partitions import PartitionSpec, Window
from metaplatform.specs.fields.reads import Reach


@dataclass(frozen=True)
class BuiltPartition:
    """One partition (``""`` where there are none) as it was last made.

    ``inputs`` is the lineage hash of each input as it was read: which book it was made from. ``read`` is a token of
    the rows of each input within reach as they were then, ``content`` one of the rows that were stored (``""``: none):
    which data it was made from. ``periods`` says it by the event timestamps of the rows where the partition does not:
    calendar (see ``PartitionSpec.calendar``) → key → content. All three are empty where an earlier release has made it.
    ``seconds`` is how long the step took.
    ``model_version`` is the version that was asked to score a prediction; it may have learnt from all of its rows.
    """

    spec_hash: str
    inputs: Mapping[str, str]
    seconds: float
    run_id: str
    model_version: int | None = None
    read: Mapping[str, str] = field(default_factory=dict)
    content: str = ""
    periods: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def lineage(self) -> str:
        """Return the lineage hash of what is stored."""
        return lineage_hash(self.spec_hash, self.inputs)


@dataclass(frozen=True)
class Built:
    """An entity as it was last made: its fields then, and its partitions.

    ``unfinished`` says that making it again was begun, from nothing, and never came to its end.
    """

    fields: Mapping[str, Any]
    partitions: Mapping[str, BuiltPartition] = field(default_factory=dict)
    unfinished: bool = False

    def lineage(self, scheme: PartitionSpec | None, window: Window | None, reaches: Iterable[Reach]) -> str:
        """Return the lineage of what the reader of a partition with ``window`` finds here, ``""`` if nothing.

        ``scheme`` is what the partitions here are of. Partitions that were made from different books have, together,
        a lineage that no book has.
        """
        wanted, found = tuple(reaches), dict[tuple[str, int], str]()
        # The newest first, which readers are likely to find; of all that were made of one book one is enough.
        for key, made in reversed([*self.partitions.items()]):
            book = (made.spec_hash, id(made.inputs))
            if book not in found and _within(key, scheme, window, wanted):
                found[book] = made.lineage
        return "+".join(sorted(set(found.values())))


def _within(key: str, scheme: PartitionSpec | None, window: Window | None, reaches: tuple[Reach, ...]) -> bool:
    if scheme is None or window is None or not key:
        return True
    # A partition of other schemes, before an edit of the book, is not one that a reader would find.
    return any(reach.interval(window).overlaps(scheme.window(key)) for reach in reaches) if scheme.has(key) else True

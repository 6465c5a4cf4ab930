"""What each asset was last made from: kept by the step that made it, whoever asked for the run."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metaplatform.specs.book.lineage import lineage_hash
from metaplatform.specs.fields.partitions import EARLIEST, LATEST, PartitionSpec, Window
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


class Lineages:
    """Which books the partitions of an asset were made from, by time."""

    def __init__(self, built: Built, scheme: PartitionSpec | None) -> None:
        """Take what was made; ``scheme`` is what its partitions are of."""
        self._scheme, self._always = scheme, set[str]()
        timed: dict[tuple[str, int], list[str]] = {}
        for key, made in built.partitions.items():
            book = (made.spec_hash, id(made.inputs))
            # A partition of other schemes, before an edit of the book, is not one that a reader would find.
            if scheme is None or not key or not scheme.has(key):
                self._always.add(made.lineage)
            else:
                timed.setdefault(book, []).append(key)
        self._timed = [(built.partitions[keys[0]].lineage, sorted(keys)) for keys in timed.values()]

    def found(self, window: Window | None, reaches: Iterable[Reach]) -> str:
        """Return the lineage of what the reader of a partition with ``window`` finds, ``""`` if nothing.

        Partitions that were made from different books have, together, a lineage that no book has.
        """
        intervals = [reach.interval(window) for reach in reaches] if window else [Window(EARLIEST, LATEST)]
        read = {lineage for lineage, keys in self._timed if any(self._has(keys, each) for each in intervals)}
        return "+".join(sorted(self._always | read))

    def _has(self, keys: Sequence[str], interval: Window) -> bool:
        """Tell whether one of ``keys``, which are in order, lies in the interval: keys sort as their windows do."""
        scheme = self._scheme
        if scheme is None:
            return True
        first = (
            0 if interval.start <= scheme.window(keys[0]).start else bisect_left(keys, scheme.key_of(interval.start))
        )
        return first < len(keys) and scheme.window(keys[first]).overlaps(interval)

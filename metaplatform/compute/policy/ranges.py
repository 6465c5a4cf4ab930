"""Which partitions one run may do together: as many as nobody has to decide between."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from metaplatform.chapters import SOURCES
from metaplatform.compute.policy.road import Road
from metaplatform.specs.fields.partitions import PartitionSpec

MOST_PARTITIONS = 1_000
"""So many partitions are in one run at most: a range says that it is done before people give up on it."""
MOST_ROWS = 2_000_000
"""A range ends with the partition in which a table comes to so many rows."""


@dataclass(frozen=True)
class Joining:
    """What tells which partitions may be joined.

    ``rows`` counts what there is of each partition, by reference. ``trained`` names the models that have a version.
    """

    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    trained: frozenset[str] = frozenset()


def following(scheme: PartitionSpec, first: str, todo: Mapping[str, Sequence[str]], most: int) -> Iterator[str]:
    """Yield the partitions after ``first`` that are to be made of the very same references, without a gap.

    ``todo`` gives the partitions that are to be made of each reference, oldest first.
    """
    due = {ref: iter(keys[1:most]) for ref, keys in todo.items() if keys[0] == first}
    others = min((keys[0] for keys in todo.values() if keys[0] != first), default="")
    key = scheme.next_key(first)
    while all(next(keys, "") == key for keys in due.values()) and not (others and key >= others):
        yield key
        key = scheme.next_key(key)


def ranges_of(scheme: PartitionSpec | None, keys: Sequence[str], most: int) -> tuple[tuple[str, str], ...]:
    """Return first and last of the ranges, without a gap and of at most so many partitions, that ``keys`` make up.

    ``keys`` are in order; ``""`` stands for what has no partitions.
    """
    ranges: list[list[str]] = []
    for key in keys:
        if ranges and scheme and len(ranges[-1]) < most and key == scheme.next_key(ranges[-1][-1]):
            ranges[-1].append(key)
        else:
            ranges.append([key])
    return tuple((found[0], found[-1]) for found in ranges)


def apart(road: Road, selected: Sequence[str], joining: Joining) -> str:
    """Return why each partition of what is selected needs a run of its own, ``""`` if none does.

    After each partition that a monitor judges, a reaction reads, or that adds rows for a trained model, the loop may
    decide: what comes next is then made by another version, or not yet. What reads all there is at the moment would
    read later partitions.
    """
    manifest = road.manifest
    watching = {monitor.ref: monitor.prediction_ref for monitor in manifest.monitors.values()}
    watching |= {reaction.ref: reaction.prediction_ref for reaction in manifest.reactions.values()}
    if watched := next((ref for ref, prediction in watching.items() if prediction in selected), ""):
        return f"{watched} may act on each"
    for model in manifest.models.values():
        counts = model.retrain is not None and model.retrain.new_rows is not None
        if counts and model.name in joining.trained and model.feature_set_ref in selected:
            return f"{model.ref} may be trained again on each"
    for ref in selected:
        for other, reaches in manifest.reads(ref).items():
            moves = other in selected and (road.partitions[other] is not None or not SOURCES.holds(other))
            if road.partitions[ref] is not None and moves and any(reach.kind == "as_made" for reach in reaches):
                return f"{ref} reads of {other} what there is at the moment"
    return ""


def within_bounds(keys: Sequence[str], refs: Collection[str], joining: Joining) -> int:
    """Return how many of ``keys`` go into one run by the rows that ``refs`` have there: one at least."""
    counts = [found for ref in refs if (found := joining.rows.get(ref))]
    rows = accumulate(max((found.get(key, 0) for found in counts), default=0) for key in keys)
    return next((number for number, total in enumerate(rows, 1) if total >= MOST_ROWS), len(keys))

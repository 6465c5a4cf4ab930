"""What was made of other contents than there are now: late files, corrections, rows that a look-ahead waits for."""

from collections.abc import Iterable, Iterator, Mapping

from metaplatform.chapters import MODELS
from metaplatform.compute.policy.road import made_by_reactions, topological_order
from metaplatform.naming import stable_id
from metaplatform.specs.book.builds import Built, BuiltPartition
from metaplatform.specs.book.fingerprints import Contents
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.reads import Reach

Stale = Mapping[str, Mapping[str, str]]
"""Reference → stale partition (``""`` where there are none) → id of what it is to be made from."""


def stale_partitions(manifest: Manifest, built: Mapping[str, Built]) -> dict[str, dict[str, str]]:
    """Return what was made of contents of its inputs that are others now, as far as records tell.

    What was made from another book is left out: making that again is a decision of people (``apply``).
    """
    contents = Contents(manifest, built)
    found = {ref: stale_of(ref, built[ref], manifest, contents) for ref in made_of_rows(manifest, built)}
    return {ref: stale for ref, stale in found.items() if stale}


def made_of_rows(manifest: Manifest, built: Mapping[str, Built]) -> Iterator[str]:
    """Yield of what was made that which other rows of its inputs make stale."""
    left_out = made_by_reactions(manifest)
    for ref, made in built.items():
        entity = manifest.entities.get(ref)
        if entity is not None and ref not in left_out and not made.unfinished and not entity.shows:
            yield ref


def stale_of(ref: str, made: Built, manifest: Manifest, contents: Contents) -> dict[str, str]:
    """Return what of one asset is stale: it depends on the records of the asset and of what it reads alone."""
    spec_hash, lineage = manifest.spec_hash(ref), manifest.lineage.inputs(ref)
    scheme, found = manifest.partitions(ref), dict[str, str]()
    # Few dictionaries stand for the inputs of thousands of partitions.
    of_this_book = {id(each.inputs): dict(each.inputs) == lineage for each in _apart(made)}
    for key, partition in made.partitions.items():
        if (
            not partition.read
            or partition.spec_hash != spec_hash
            or not of_this_book[id(partition.inputs)]
            or (scheme is None) != (key == "")
            or (scheme and not scheme.has(key))
        ):
            continue
        now = contents.read(ref, key)
        if any(now.get(other, token) != token for other, token in partition.read.items()):
            found[key] = stable_id(partition.run_id, *sorted(now.items()))
    return found


def _apart(made: Built) -> Iterable[BuiltPartition]:
    """Return a partition for each dictionary of inputs."""
    return {id(partition.inputs): partition for partition in made.partitions.values()}.values()


def with_followers(manifest: Manifest, built: Mapping[str, Built], stale: Stale) -> dict[str, frozenset[str]]:
    """Return the stale partitions, and all that read them once they are made again."""
    found = {ref: set(keys) for ref, keys in stale.items()}
    left_out = made_by_reactions(manifest)
    for ref in topological_order(manifest):
        made = built.get(ref)
        views = manifest.entities[ref].shows
        if made is None or ref in left_out or views or MODELS.holds(ref):
            continue
        for other, reaches in manifest.reads(ref).items():
            if other in found:
                reached = {
                    key for key in made.partitions if _reads_any(manifest, ref, key, other, reaches, found[other])
                }
                found.setdefault(ref, set()).update(reached)
    return {ref: frozenset(keys) for ref, keys in found.items() if keys}


def _reads_any(manifest: Manifest, ref: str, key: str, other: str, reaches: tuple[Reach, ...], keys: set[str]) -> bool:
    """Tell whether a partition reads any of the partitions ``keys`` of an input."""
    own, scheme = manifest.partitions(ref), manifest.partitions(other)
    tracked = [reach for reach in reaches if reach.kind != "as_made"]
    if not tracked:
        return False
    if own is None or scheme is None or not own.has(key):
        return True
    intervals = [reach.interval(own.window(key)) for reach in tracked]
    return any(scheme.has(each) and scheme.window(each).overlaps(interval) for each in keys for interval in intervals)

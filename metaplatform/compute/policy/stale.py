"""What was made of other contents than there are now: late files, corrections, rows that a look-ahead waits for."""

from collections.abc import Mapping

from metaplatform.chapters import MODELS
from metaplatform.compute.policy.road import made_by_reactions, topological_order
from metaplatform.naming import stable_id
from metaplatform.specs.book.builds import Built
from metaplatform.specs.book.fingerprints import Contents
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.reads import Reach

Stale = Mapping[str, Mapping[str, str]]
"""Reference → stale partition (``""`` where there are none) → id of what it is to be made from."""


def stale_partitions(manifest: Manifest, built: Mapping[str, Built]) -> dict[str, dict[str, str]]:
    """Return what was made of contents of its inputs that are others now, as far as records tell.

    What was made from another book is left out: making that again is a decision of people (``apply``).
    """
    contents, found = Contents(manifest, built), dict[str, dict[str, str]]()
    left_out = made_by_reactions(manifest)
    for ref, made in built.items():
        entity = manifest.entities.get(ref)
        if entity is None or ref in left_out or made.unfinished or entity.shows:
            continue
        stale = _stale(ref, made, manifest, contents)
        if stale:
            found[ref] = stale
    return found


def _stale(ref: str, made: Built, manifest: Manifest, contents: Contents) -> dict[str, str]:
    spec_hash, lineage = manifest.spec_hash(ref), manifest.lineage.inputs(ref)
    scheme, found = manifest.partitions(ref), dict[str, str]()
    for key, partition in made.partitions.items():
        of_this_book = partition.spec_hash == spec_hash and dict(partition.inputs) == lineage
        if (
            not partition.read
            or not of_this_book
            or (scheme is None) != (key == "")
            or (scheme and not scheme.has(key))
        ):
            continue
        now = contents.read(ref, key)
        if any(now.get(other, token) != token for other, token in partition.read.items()):
            found[key] = stable_id(partition.run_id, *sorted(now.items()))
    return found


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

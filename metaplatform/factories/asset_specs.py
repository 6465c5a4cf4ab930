"""One entity of the book → one Dagster asset spec: key, group, kinds, owners, tags, lineage, versions."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from metaplatform.errors import MetaplatformError
from metaplatform.factories.mount import STANDALONE, BookEntry, Mount, Translation
from metaplatform.naming import asset_path
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.descriptions import description_of
from metaplatform.specs.fields.partitions import PartitionSpec


@lru_cache
def partitions_definition(spec: PartitionSpec | None) -> dg.TimeWindowPartitionsDefinition | None:
    """Return Dagster's partitions of the book's; the two agree on every key.

    One object for equal partitions: Dagster finds out that an object equals itself without a look inside.
    """
    if spec is None:
        return None
    cron = {"hour": "0 * * * *", "day": "0 0 * * *", "month": "0 0 1 * *"}[spec.every]
    return dg.TimeWindowPartitionsDefinition(
        start=spec.start, fmt=spec.format, timezone=spec.timezone, cron_schedule=cron
    )


def asset_spec(manifest: Manifest, ref: str, mount: Mount = STANDALONE) -> dg.AssetSpec:
    """Return the asset spec of the entity behind ``ref`` where the book is mounted.

    Raises:
        MetaplatformError: if the mount's translation changes what is the book's alone.
    """
    entity = manifest.entities[ref]
    spec = dg.AssetSpec(
        key=dg.AssetKey([*mount.key_prefix, *asset_path(ref)]),
        deps=[_dependency(manifest, ref, parent, mount) for parent in manifest.upstream(ref)],
        description=description_of(entity),
        group_name=asset_path(ref)[0],
        kinds=set(entity.kinds_in(manifest)),
        owners=list(entity.owners),
        tags=dict(entity.tags),
        metadata=asset_metadata(manifest, ref),
        # With all it is computed from: Dagster does not see new data of partitions behind an asset that has none.
        code_version=manifest.lineage.of(ref),
        partitions_def=partitions_definition(manifest.partitions(ref)),
    )
    return _translated(spec, BookEntry(ref, entity), mount.translation) if mount.translation else spec


def mounted(manifest: Manifest, mount: Mount) -> Mount:
    """Return the mount with the keys of the book's assets, as its prefix and its translation make them.

    Raises:
        MetaplatformError: if two assets get the same key.
    """
    keys: dict[str, dg.AssetKey] = {}
    taken: dict[dg.AssetKey, str] = {}
    for ref in manifest.assets:
        key = keys[ref] = asset_spec(manifest, ref, mount).key if mount.translation else mount.key(ref)
        if (other := taken.setdefault(key, ref)) != ref:
            raise MetaplatformError(
                owner=ref,
                culprit=f"its key {key.to_user_string()} is that of {other} too",
                fix="let `translation` make a key of each reference",
            )
    return replace(mount, keys=keys)


def _translated(spec: dg.AssetSpec, entry: BookEntry, translation: Translation) -> dg.AssetSpec:
    """Return what the project makes of a spec: all may change that the loop does not rest on."""
    translated = translation(spec, entry)
    for field in ("partitions_def", "code_version", "skippable"):
        if getattr(translated, field) != getattr(spec, field):
            raise MetaplatformError(
                owner=entry.ref, culprit=f"`translation` changes its {field}", fix="leave it: it follows from the book"
            )
    lost = {dep.asset_key for dep in spec.deps} - {dep.asset_key for dep in translated.deps}
    if lost:
        told = ", ".join(sorted(key.to_user_string() for key in lost))
        raise MetaplatformError(
            owner=entry.ref, culprit=f"`translation` takes away its dependency on {told}", fix="add to `spec.deps`"
        )
    return translated


def _dependency(manifest: Manifest, ref: str, parent: str, mount: Mount) -> dg.AssetDep:
    offsets = manifest.following.of(ref, parent).offsets
    return dg.AssetDep(mount.key(parent), partition_mapping=_mapping(offsets) if offsets else None)


@lru_cache
def _mapping(offsets: tuple[int, int]) -> dg.TimeWindowPartitionMapping:
    first, last = offsets
    return dg.TimeWindowPartitionMapping(first, last, allow_nonexistent_upstream_partitions=True)


def asset_metadata(manifest: Manifest, ref: str) -> dict[str, Any]:
    """Return what Dagster shows of an entity beside its spec: table, docs, and its place in the book."""
    entity = manifest.entities[ref]
    metadata: dict[str, Any] = {"dagster/table_name": ref}
    if entity.docs:
        metadata["docs"] = dg.MetadataValue.url(entity.docs)
    if untold := manifest.following.untold(ref):
        metadata["not_followed"] = (
            f"Dagster cannot tell exactly what new rows of {', '.join(untold)} make unsynced here; "
            "`metaplatform plan` tells, and the loop makes it again."
        )
    if location := manifest.locations.get(ref):
        path = str(Path(manifest.root) / location.file)
        metadata["dagster/code_references"] = dg.CodeReferencesMetadataValue(
            code_references=[dg.LocalFileCodeReference(file_path=path, line_number=location.line, label="book")]
        )
    return metadata

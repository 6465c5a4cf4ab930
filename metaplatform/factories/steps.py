"""One asset of the book → one Dagster asset whose step does the work that is given."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from metaplatform.factories.asset_specs import asset_spec
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.factories.signatures import with_signature
from metaplatform.naming import op_name, stable_id
from metaplatform.specs.book.manifest import Manifest
from metaplatform.work.steps import NOW_TAG, Made, Markdown, Metadata, Step, Url

RESOURCES = frozenset({"warehouse", "registry", "exports", "notifier", "clock"})
"""Keys of the resources that a step has."""


def step_asset(
    manifest: Manifest,
    ref: str,
    work: Callable[[Step], Made | None],
    mount: Mount = STANDALONE,
    *,
    skippable: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetsDefinition:
    """Return the asset behind ``ref``, made by ``work``; ``metadata`` comes with each materialization.

    A ``skippable`` asset's work may return None: then what is there stays as it is.
    """
    spec = asset_spec(manifest, ref, mount).replace_attributes(skippable=skippable)

    @dg.multi_asset(specs=[spec], name=mount.named(op_name(ref)), required_resource_keys=mount.all_named(*RESOURCES))
    @with_signature
    def make(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        step = step_of(context, manifest, ref, mount)
        made = work(step)
        if made is not None:
            yield dg.MaterializeResult(
                metadata={**in_dagster(made.metadata), **(metadata or {})},
                data_version=dg.DataVersion(data_version(step, made)),
            )

    return make


def step_of(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
    manifest: Manifest,
    ref: str,
    mount: Mount = STANDALONE,
    *,
    partitioned: bool = True,
) -> Step:
    """Return the step of a run; ``now`` comes from the run's tag, or from the clock.

    Without ``partitioned`` the step is about all of the asset's partitions.
    """
    tags = dict(context.run.tags)
    resources = {key: mount.resource(context, key) for key in RESOURCES}
    partitioned = partitioned and manifest.partitions(ref) is not None
    return Step(
        manifest=manifest,
        ref=ref,
        run_id=context.run.run_id,
        partition=context.partition_key if partitioned else None,
        now=datetime.fromisoformat(tags[NOW_TAG]) if NOW_TAG in tags else resources["clock"].now(),
        tags=tags,
        log=context.log.info,
        holder=mount.holder,
        asset_path=mount.path,
        **resources,
    )


def data_version(step: Step, made: Made) -> str:
    """Return the version of what a step has made, of the book and of the rows.

    The same rows made once more are not new data to anyone. A model's is of the book alone: a training that has
    promoted nothing must not call its predictions unsynced.
    """
    lineage = step.manifest.lineage.of(step.ref)
    return stable_id(lineage, made.content) if made.content and step.manifest.following.counts(step.ref) else lineage


def in_dagster(metadata: Metadata) -> dict[str, Any]:
    """Return metadata in Dagster's words."""
    return {name: _value(value) for name, value in metadata.items()}


def _value(value: Any) -> Any:
    match value:
        case Url():
            return dg.MetadataValue.url(value)
        case Markdown():
            return dg.MetadataValue.md(value)
        case Path():
            return dg.MetadataValue.path(value)
        case pa.Schema():
            return dg.TableSchema(columns=[dg.TableColumn(column.name, str(column.type)) for column in value])
        case _:
            return value

"""One asset of the book → one Dagster asset whose step does the work that is given."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from metaplatform.factories.asset_specs import asset_spec
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.factories.signatures import with_signature
from metaplatform.naming import op_name, stable_id
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.work.builds import RangeError, Work
from metaplatform.work.steps import NOW_TAG, Made, Markdown, Metadata, Step, Url

RESOURCES = frozenset({"warehouse", "registry", "exports", "notifier", "clock"})
"""Keys of the resources that a step has."""


def step_asset(
    manifest: Manifest,
    ref: str,
    work: Work,
    mount: Mount = STANDALONE,
    *,
    skippable: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetsDefinition:
    """Return the asset behind ``ref``, made by ``work``, a range of its partitions in one run.

    ``metadata`` comes with each materialization, of a range with the last. A ``skippable`` asset's work may make
    nothing: then what is there stays as it is.
    """
    spec = asset_spec(manifest, ref, mount).replace_attributes(skippable=skippable)

    @dg.multi_asset(
        specs=[spec],
        name=mount.named(op_name(ref)),
        required_resource_keys=mount.all_named(*RESOURCES),
        backfill_policy=dg.BackfillPolicy.single_run() if spec.partitions_def else None,
    )
    @with_signature
    def make(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        step = step_of(context, manifest, ref, mount)
        try:
            made = dict(work(step))
        except RangeError as error:
            for key, each in error.made.items():
                facts = in_dagster(each.metadata)
                context.log_event(dg.AssetMaterialization(spec.key, partition=key, metadata=facts))
            raise
        if not made:
            return
        facts = {key: in_dagster(each.metadata) for key, each in made.items()}
        newest = facts[[*made][-1]]
        newest |= metadata or {}
        if step.range:
            _tell_apart(context, spec.key, facts)
        version = dg.DataVersion(data_version(step, made.values()))
        yield dg.MaterializeResult(metadata={} if step.range else newest, data_version=version)

    return make


def _tell_apart(context: dg.AssetExecutionContext, key: dg.AssetKey, facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Give the event of each partition its own metadata: `add_asset_metadata` copies all there is for each."""
    step = context.op_execution_context.get_step_execution_context()
    step._metadata_accumulator = OutputMetadataAccumulator(  # noqa: SLF001
        per_output_metadata={
            AssetMetadataHandle(asset_key=key, partition_key=part): each for part, each in facts.items()
        }
    )


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
    scheme = manifest.partitions(ref)
    keys = _partitions(context, scheme) if partitioned and scheme else ()
    return Step(
        manifest=manifest,
        ref=ref,
        run_id=context.run.run_id,
        partition=keys[0] if len(keys) == 1 else None,
        range=keys if len(keys) > 1 else (),
        now=datetime.fromisoformat(tags[NOW_TAG]) if NOW_TAG in tags else resources["clock"].now(),
        tags=tags,
        log=context.log.info,
        holder=mount.holder,
        asset_path=mount.path,
        **resources,
    )


def _partitions(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, scheme: PartitionSpec
) -> tuple[str, ...]:
    """Return the partitions that a run is about, in order; for one of checks alone Dagster may not know them."""
    if ASSET_PARTITION_RANGE_START_TAG not in context.run.tags:
        return (context.partition_key,)
    first, last = (context.run.tags[tag] for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG))
    return scheme.keys_between(first, last)


def data_version(step: Step, made: Iterable[Made]) -> str:
    """Return the version of what a step has made, of the book and of the rows; of a range one for all partitions.

    The same rows made once more are not new data to anyone. A model's is of the book alone: a training that has
    promoted nothing must not call its predictions unsynced.
    """
    lineage = step.manifest.lineage.of(step.ref)
    contents = [each.content for each in made if each.content]
    return stable_id(lineage, *contents) if contents and step.manifest.following.counts(step.ref) else lineage


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

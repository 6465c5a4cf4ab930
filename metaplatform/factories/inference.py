"""Predictions → assets: each partition scored by the version that the book asks for."""

import os

import dagster as dg
import ibis
import pyarrow as pa

from metaplatform.compute.encoding import encode
from metaplatform.compute.inference import KEPT_PREFIX, Scorer, score
from metaplatform.errors import RegistryError
from metaplatform.factories.asset_specs import asset_spec
from metaplatform.factories.builds import kept_as_built
from metaplatform.factories.keys import check_key
from metaplatform.factories.signatures import with_signature
from metaplatform.factories.steps import Step, in_partition, step_of, table_metadata
from metaplatform.naming import history_ref, op_name
from metaplatform.resources.clock import Clock
from metaplatform.resources.model_registry import ModelRegistry, ModelVersion
from metaplatform.resources.session import Session
from metaplatform.resources.warehouse import Warehouse, WriteResult
from metaplatform.specs.inference import PredictionSpec
from metaplatform.specs.manifest import Manifest


def prediction_asset(manifest: Manifest, name: str) -> dg.AssetsDefinition:
    """Return the asset of a prediction."""
    ref = f"predictions.{name}"

    @dg.multi_asset(specs=[asset_spec(manifest, ref)], name=op_name(ref))
    @with_signature
    def predict(
        context: dg.AssetExecutionContext, warehouse: Warehouse, registry: ModelRegistry, clock: Clock
    ) -> dg.MaterializeResult:
        step = step_of(context, manifest, ref, clock)
        spec = manifest.predictions[name]
        version = version_asked_for(spec, registry)
        with kept_as_built(step, warehouse):
            written = score_partition(step, spec, version, warehouse, registry)
        return dg.MaterializeResult(
            metadata={
                **table_metadata(warehouse, ref, written),
                "model": version.model,
                "model_version": version.version,
                **({"mlflow": dg.MetadataValue.url(version.url)} if version.url else {}),
            }
        )

    return predict


def version_asked_for(spec: PredictionSpec, registry: ModelRegistry) -> ModelVersion:
    """Return the version that scores: the champion's, or the one pinned in the book.

    Raises:
        RegistryError: if there is no such version yet.
    """
    if spec.version != "champion":
        return registry.version(spec.model, spec.version)
    champion = registry.champion(spec.model)
    if champion is None:
        raise RegistryError(
            owner=f"predictions.{spec.name}",
            culprit=f"model '{spec.model}' has no champion yet",
            fix=f"materialize models.{spec.model} first; its first version becomes champion",
        )
    return champion


def score_partition(
    step: Step, spec: PredictionSpec, version: ModelVersion, warehouse: Warehouse, registry: ModelRegistry
) -> WriteResult:
    """Score the step's partition (or all rows) and store it: as the current rows, and in the history of versions."""
    bundle = registry.load(version.model, version.version)
    task = step.manifest.models[spec.model].task
    scorer = Scorer(version.model, version.version, task, bundle.booster, bundle.encoding)
    with warehouse.session() as session:
        kept = [f"{KEPT_PREFIX}{name}" for name in extra_columns(step.manifest, spec)]
        identity = identity_columns(step.manifest, spec)
        rows = encode(rows_to_score(session, step, spec), bundle.encoding, keep=[*identity, *kept])
        scored = score(
            session.reader(rows), scorer, run_id=step.run_id, scored_at=step.now, threads=os.cpu_count() or 1
        )
        written = warehouse.replace(step.ref, scored, partition=step.partition, metadata=step.commit)
        _keep_history(session, step, version, warehouse)
    return written


def rows_to_score(session: Session, step: Step, spec: PredictionSpec) -> ibis.Table:
    """Return the feature rows of the step's partition, with the columns of the spine that are kept."""
    manifest = step.manifest
    feature_set = manifest.feature_sets[manifest.models[spec.model].feature_set]
    features = in_partition(session.table(f"features.{feature_set.name}"), step.partition)
    extra = extra_columns(manifest, spec)
    if not extra:
        return features
    key = list(manifest.timed_table(feature_set.spine).key)
    spine = in_partition(session.table(feature_set.spine), step.partition)
    check_key(session, spine, key, owner=feature_set.spine)
    kept = spine.select(*key, **{f"{KEPT_PREFIX}{name}": spine[name] for name in extra})
    return (
        features.left_join(kept, key, rname="_spine_{name}").select(*features.columns, *kept.columns[len(key) :]).view()
    )


def extra_columns(manifest: Manifest, spec: PredictionSpec) -> list[str]:
    """Return the columns of the spine that a prediction keeps beside key and event timestamp."""
    identity = identity_columns(manifest, spec)
    return [name for name in dict.fromkeys(spec.keep) if name not in identity]


def identity_columns(manifest: Manifest, spec: PredictionSpec) -> list[str]:
    """Return the columns that say which row a prediction is about, and when: key, then event timestamp."""
    spine = manifest.spine_of(manifest.models[spec.model])
    return list(dict.fromkeys(name for name in (*spine.key, spine.event_timestamp) if name))


def _keep_history(session: Session, step: Step, version: ModelVersion, warehouse: Warehouse) -> None:
    """Copy what was just written into the history, where each version's rows of each partition stay."""
    current: ibis.Table = in_partition(session.table(step.ref), step.partition)
    values: dict[str, str | int] = {"model_version": version.version}
    if step.partition:
        values = {"_partition": step.partition, **values}
    rows: pa.RecordBatchReader = session.reader(current)
    # A column that has changed its type has done so for readers of the current rows too: older versions' follow.
    types = {field.name: field.type for field in warehouse.schema(step.ref)}
    warehouse.retype(history_ref(step.ref), types, metadata=step.commit)
    warehouse.replace_where(
        history_ref(step.ref), rows, values=values, partition_by=tuple(values), metadata=step.commit
    )

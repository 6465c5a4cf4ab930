"""The whole book → Dagster definitions."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from metaplatform.chapters import (
    FEATURE_SETS,
    MODELS,
    OUTPUTS,
    PREDICTIONS,
    REACTIONS,
    SOURCES,
    TABLES,
    Chapter,
    chapter_of,
)
from metaplatform.factories.automation.maintenance import maintenance_schedule
from metaplatform.factories.automation.messages import messages_sensor
from metaplatform.factories.automation.schedules import build_schedules
from metaplatform.factories.automation.sensors import build_sensors
from metaplatform.factories.column_lineage import column_lineage
from metaplatform.factories.contracts import contract_check
from metaplatform.factories.monitoring import monitor_checks, monitoring_spec
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.factories.steps import step_asset
from metaplatform.naming import ref_name
from metaplatform.specs.book.manifest import Manifest
from metaplatform.work.builds import Work, one_by_one
from metaplatform.work.features import make_features
from metaplatform.work.inference import predict
from metaplatform.work.ingestion import ingest
from metaplatform.work.outputs import write_output
from metaplatform.work.reactions import act
from metaplatform.work.tables import make_table
from metaplatform.work.training import retrain

_WORK: Mapping[Chapter, Work] = {
    SOURCES: ingest.over,
    TABLES: make_table.over,
    FEATURE_SETS: make_features.over,
    MODELS: one_by_one(retrain),
    PREDICTIONS: predict.over,
    OUTPUTS: write_output.over,
    REACTIONS: one_by_one(act),
}


def entity_asset(manifest: Manifest, ref: str, mount: Mount = STANDALONE) -> dg.AssetsDefinition:
    """Return the asset of an entity that a step makes."""
    chapter = chapter_of(ref)
    metadata = {}
    if chapter is FEATURE_SETS:
        metadata["dagster/column_lineage"] = column_lineage(manifest.feature_sets[ref_name(ref)], mount)
    # Rows that do not allow a training leave the version there is in place.
    return step_asset(manifest, ref, _WORK[chapter], mount, skippable=chapter is MODELS, metadata=metadata)


def build_definitions(
    manifest: Manifest,
    mount: Mount = STANDALONE,
    *,
    resources: Mapping[str, Any],
    executor: dg.ExecutorDefinition | None,
    sensor_interval_seconds: int,
    keep_versions_days: int,
    keep_runs_days: int,
    sensors: Sequence[dg.SensorDefinition] = (),
) -> dg.Definitions:
    """Return the definitions of a validated book.

    ``resources`` holds ``warehouse``, ``registry``, ``exports``, ``clock``, ``notifier``, ``book`` and ``mlflow``, by
    the names they have where the book has its location to itself. ``sensors`` come beside those of the loop.
    """
    assets = [entity_asset(manifest, ref, mount) for ref in manifest.entities if chapter_of(ref) in _WORK]
    return dg.Definitions(
        assets=[*assets, *(monitoring_spec(manifest, name, mount) for name in manifest.monitors)],
        asset_checks=[
            *(contract_check(manifest, name, mount) for name in manifest.sources),
            *(monitor_checks(manifest, name, mount) for name in manifest.monitors),
        ],
        sensors=[
            *build_sensors(manifest, sensor_interval_seconds, mount),
            messages_sensor(manifest.timezone, sensor_interval_seconds, mount),
            *sensors,
        ],
        schedules=[
            *build_schedules(manifest, mount),
            maintenance_schedule(manifest.timezone, keep_versions_days, keep_runs_days, mount),
        ],
        resources={mount.named(name): resource for name, resource in resources.items()},
        executor=executor,
    )

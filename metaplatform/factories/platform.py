"""The whole book → Dagster definitions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from metaplatform.factories.automation.maintenance import maintenance_schedule
from metaplatform.factories.automation.messages import messages_sensor
from metaplatform.factories.automation.schedules import build_schedules
from metaplatform.factories.automation.sensors import build_sensors
from metaplatform.factories.contracts import contract_check
from metaplatform.factories.features import feature_set_asset
from metaplatform.factories.inference import prediction_asset
from metaplatform.factories.ingestion import source_asset, table_asset
from metaplatform.factories.monitoring import monitor_checks, monitoring_spec
from metaplatform.factories.outputs import output_asset
from metaplatform.factories.reactions import reaction_asset
from metaplatform.factories.training import model_asset
from metaplatform.specs.manifest import Manifest

_ASSETS: Mapping[str, Callable[[Manifest, str], dg.AssetsDefinition]] = {
    "sources": source_asset,
    "tables": table_asset,
    "feature_sets": feature_set_asset,
    "models": model_asset,
    "predictions": prediction_asset,
    "outputs": output_asset,
    "reactions": reaction_asset,
}


def build_definitions(
    manifest: Manifest,
    *,
    resources: Mapping[str, Any],
    executor: dg.ExecutorDefinition,
    sensor_interval_seconds: int,
    keep_versions_days: int,
    sensors: Sequence[dg.SensorDefinition] = (),
) -> dg.Definitions:
    """Return the definitions of a validated book.

    ``resources`` holds ``warehouse``, ``registry``, ``clock``, ``notifier`` and ``mlflow``.
    ``sensors`` come beside those of the loop.
    """
    assets = [build(manifest, name) for chapter, build in _ASSETS.items() for name in getattr(manifest, chapter)]
    return dg.Definitions(
        assets=[*assets, *(monitoring_spec(manifest, name) for name in manifest.monitors)],
        asset_checks=[
            *(contract_check(manifest, name) for name in manifest.sources),
            *(monitor_checks(manifest, name) for name in manifest.monitors),
        ],
        sensors=[
            *build_sensors(manifest, sensor_interval_seconds),
            messages_sensor(manifest.timezone, sensor_interval_seconds),
            *sensors,
        ],
        schedules=[*build_schedules(manifest), maintenance_schedule(manifest.timezone, keep_versions_days)],
        resources=dict(resources),
        executor=executor,
    )

"""Monitors → asset checks on predictions, one batched op a monitor, and the observations they keep."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from metaplatform.chapters import MONITORS
from metaplatform.compute.findings import as_markdown
from metaplatform.factories.asset_specs import asset_metadata, asset_spec, partitions_definition
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.factories.signatures import with_signature
from metaplatform.factories.steps import RESOURCES, in_dagster, step_of
from metaplatform.naming import op_name
from metaplatform.resources.models.mlflow_logging import point_in_time
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.descriptions import description_of
from metaplatform.specs.entities.families import MonitorSpec
from metaplatform.work.judged import Judged
from metaplatform.work.monitoring import watch
from metaplatform.work.steps import Step


def check_keys(manifest: Manifest, monitor: str, mount: Mount = STANDALONE) -> tuple[dg.AssetCheckKey, ...]:
    """Return the asset check keys of a monitor; they sit on the prediction it watches."""
    prediction = mount.key(manifest.monitors[monitor].prediction_ref)
    return tuple(dg.AssetCheckKey(prediction, f"{monitor}_{check}") for check in manifest.monitors[monitor].checks)


def monitoring_spec(manifest: Manifest, name: str, mount: Mount = STANDALONE) -> dg.AssetSpec:
    """Return the asset that stands for a monitor's observations; its checks report what they add."""
    prediction = mount.key(manifest.monitors[name].prediction_ref)
    return asset_spec(manifest, MONITORS.ref(name), mount).merge_attributes(
        metadata={"checks on": dg.MetadataValue.asset(prediction)}
    )


def monitor_checks(manifest: Manifest, name: str, mount: Mount = STANDALONE) -> dg.AssetChecksDefinition:
    """Return the checks of a monitor as one op: Evidently is imported once, and one report holds all."""
    ref = MONITORS.ref(name)
    monitor = manifest.monitors[name]
    metadata = asset_metadata(manifest, ref)
    check_specs = [
        dg.AssetCheckSpec(
            name=key.name,
            asset=key.asset_key,
            description=description_of(monitor),
            metadata=metadata,
            partitions_def=partitions_definition(manifest.partitions(ref)),
        )
        for key in check_keys(manifest, name, mount)
    ]
    # Only realized metrics are logged over time, and importing MLflow's tracking takes seconds.
    keys = mount.all_named(*RESOURCES, *(["mlflow"] if monitor.waits_for_labels else []))

    @dg.multi_asset_check(specs=check_specs, name=mount.named(op_name(ref)), required_resource_keys=keys)
    @with_signature
    def judge(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        found: list[Judged] = []
        for step in step_of(context, manifest, ref, mount).each:
            judged = watch(step)
            found.append(judged)
            if monitor.waits_for_labels:
                _log_metrics(mount.resource(context, "mlflow"), monitor, judged, step)
            facts = {"observations": len(judged.findings), "model_version": judged.version, **in_dagster(judged.links)}
            context.op_execution_context.log_event(
                dg.AssetMaterialization(mount.key(ref), metadata=facts, partition=step.partition)
            )
        for key, check in zip(check_keys(manifest, name, mount), monitor.checks, strict=True):
            # Of a range Dagster keeps one result: the oldest failure, or else the newest verdict.
            failed = (judged for judged in found if judged.verdicts[check].status == "failed")
            yield check_result(key, check, next(failed, found[-1]))

    return judge


def _log_metrics(mlflow: Any, monitor: MonitorSpec, judged: Judged, step: Step) -> None:
    """Log realized metrics to MLflow, at the end of the partition they are about."""
    moment = step.window.end if step.window else step.now
    for metric, verdict in judged.verdicts.items():
        if verdict.score is not None:
            mlflow.MlflowClient().log_metric(
                mlflow.active_run().info.run_id,
                f"{monitor.prediction}.{metric}",
                float(verdict.score),
                **point_in_time(moment),
            )


def check_result(key: dg.AssetCheckKey, check: str, judged: Judged) -> dg.AssetCheckResult:
    """Return a check's verdict in Dagster's words; what could not be judged passes, and says so."""
    verdict = judged.verdicts[check]
    metadata: dict[str, Any] = {
        "status": verdict.status,
        "model_version": judged.version,
        "rows": judged.rows,
        **{name: float(value) for name in ("score", "threshold") if (value := getattr(verdict, name)) is not None},
        **in_dagster(judged.links),
    }
    if details := judged.details.get(check):
        metadata["findings"] = dg.MetadataValue.md(as_markdown(details))
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=verdict.status != "failed",
        severity=dg.AssetCheckSeverity.ERROR,
        description=verdict.detail or None,
        metadata=metadata,
    )

"""Cron from the book → schedules that ask the retrain policy."""

import dagster as dg

from metaplatform.factories.automation.run_requests import requested_before, run_request
from metaplatform.factories.automation.sensors import decision_on, keep_decisions, retrain_plan
from metaplatform.factories.automation.state import LOOP_RESOURCES, loop_of
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.training import ModelSpec


def build_schedules(manifest: Manifest, mount: Mount = STANDALONE) -> list[dg.ScheduleDefinition]:
    """Return a schedule for each model whose retrain policy has a cron."""
    return [
        _retrain_schedule(manifest, model, *model.retrain.cron, mount)
        for model in manifest.models.values()
        if model.retrain and model.retrain.cron
    ]


def _retrain_schedule(
    manifest: Manifest, model: ModelSpec, cron: str, timezone: str, mount: Mount
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=mount.named(f"retrain_{model.name}"),
        cron_schedule=cron,
        execution_timezone=timezone,
        target=dg.AssetSelection.assets(mount.key(model.ref)),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Asks the retrain policy of {model.name} when its cron ticks.",
        required_resource_keys=mount.all_named(*LOOP_RESOURCES),
    )
    def retrain(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        loop = loop_of(context, manifest, mount)
        decision = decision_on(loop, model, scheduled_for=context.scheduled_execution_time)
        if decision is None:
            return dg.SkipReason("nothing to decide yet")
        keep_decisions(loop, [decision])
        plan = retrain_plan(decision)
        if decision.outcome != "retrain" or requested_before(context.instance, plan, mount):
            return dg.SkipReason(f"{decision.outcome}: {decision.reasons}")
        request = run_request(manifest, plan, loop.now, mount)
        # The schedule's job holds the model alone, so nothing is left to select.
        return dg.RunRequest(run_key=request.run_key, tags=request.tags)

    return retrain

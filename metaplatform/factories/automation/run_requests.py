"""A run plan → a Dagster run request, asked for once."""

from datetime import datetime

import dagster as dg

from metaplatform.compute.policy.plans import RunPlan
from metaplatform.factories.asset_specs import asset_key
from metaplatform.factories.monitoring import check_keys
from metaplatform.factories.steps import NOW_TAG
from metaplatform.specs.manifest import Manifest

PLAN_TAG = "metaplatform/plan"
"""Run tag with the plan's key: whoever asks again can see that the run exists."""
REASON_TAG = "metaplatform/reason"
_LONGEST_TAG = 500


def run_request(manifest: Manifest, plan: RunPlan, now: datetime) -> dg.RunRequest:
    """Return the run request of ``plan``, with its reason and ``now`` on the run."""
    checks = [key for monitor in plan.monitors for key in check_keys(manifest, monitor)]
    return dg.RunRequest(
        run_key=plan.key,
        asset_selection=[asset_key(ref) for ref in plan.refs],
        asset_check_keys=checks,
        partition_key=plan.partition or None,
        tags={
            **plan.tags,
            PLAN_TAG: plan.key,
            REASON_TAG: plan.reason[:_LONGEST_TAG],
            NOW_TAG: now.isoformat(),
        },
    )


def requested_before(instance: dg.DagsterInstance, plan: RunPlan) -> dg.DagsterRun | None:
    """Return the newest run of this plan, whoever asked for it: a sensor, a replay, or a retry."""
    return next(iter(instance.get_runs(dg.RunsFilter(tags={PLAN_TAG: plan.key}), limit=1)), None)


def open_requests(
    manifest: Manifest, instance: dg.DagsterInstance, plans: tuple[RunPlan, ...], now: datetime
) -> tuple[list[dg.RunRequest], list[str]]:
    """Return the requests for plans without a run, and a line for each plan that has one."""
    requests, notes = [], []
    for plan in plans:
        if run := requested_before(instance, plan):
            notes.append(f"{plan.reason}: run {run.run_id[:8]} is {run.status.value.lower()}")
        else:
            requests.append(run_request(manifest, plan, now))
    return requests, notes

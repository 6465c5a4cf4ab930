"""A run plan → a Dagster run request, asked for once."""

from collections.abc import Sequence
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
RETRY_LOST = "Failed to retry run"
"""What Dagster writes into the log of a run that crashed while no code server could be asked to start it again."""
_LONGEST_TAG = 500
_MOST_RUNS = 4
"""A plan whose runs end every code server is not asked for without end."""


def run_request(manifest: Manifest, plan: RunPlan, now: datetime, *, attempt: int = 0) -> dg.RunRequest:
    """Return the run request of ``plan``, with its reason and ``now`` on the run; ``attempt`` counts from 0."""
    checks = [key for monitor in plan.monitors for key in check_keys(manifest, monitor)]
    return dg.RunRequest(
        # Dagster makes one run of each key.
        run_key=f"{plan.key}-{attempt}" if attempt else plan.key,
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
    return next(iter(_runs_of(instance, plan, limit=1)), None)


def open_requests(
    manifest: Manifest, instance: dg.DagsterInstance, plans: tuple[RunPlan, ...], now: datetime
) -> tuple[list[dg.RunRequest], list[str]]:
    """Return the requests for plans without a run, and a line for each plan that has one.

    A run that crashed, and that Dagster could not try again, counts as none.
    """
    requests, notes = [], []
    for plan in plans:
        runs = _runs_of(instance, plan, limit=_MOST_RUNS)
        if not runs or (len(runs) < _MOST_RUNS and _retry_was_lost(instance, runs[0])):
            requests.append(run_request(manifest, plan, now, attempt=len(runs)))
        else:
            notes.append(f"{plan.reason}: run {runs[0].run_id[:8]} is {runs[0].status.value.lower()}")
    return requests, notes


def _runs_of(instance: dg.DagsterInstance, plan: RunPlan, *, limit: int) -> Sequence[dg.DagsterRun]:
    """Return the newest runs of a plan, the newest first."""
    return instance.get_runs(dg.RunsFilter(tags={PLAN_TAG: plan.key}), limit=limit)


def _retry_was_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return False
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return any(event.dagster_event is not None and event.dagster_event.message == RETRY_LOST for event in events)

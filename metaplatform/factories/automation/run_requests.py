"""A run plan → a Dagster run request, asked for once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from metaplatform.compute.policy.plans import RunPlan
from metaplatform.factories.contracts import contract_key
from metaplatform.factories.monitoring import check_keys
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.specs.book.manifest import Manifest
from metaplatform.text.moments import shown
from metaplatform.work.steps import NOW_TAG, PLAN_TAG

REASON_TAG = "reason"
"""Run tag that says why the run is made. Dagster's page of runs shows some 45 letters of a tag, its name included: the
name is short, other tags are hidden, and a reason begins with what tells it apart."""
_EARLIER_REASON_TAG = "metaplatform/reason"
RETRY_LOST = "Failed to retry run"
"""What Dagster writes into the log of a run that crashed while no code server could be asked to start it again."""
_LONGEST_TAG = 500
_MOST_RUNS = 4
"""A plan whose runs end every code server is not asked for without end."""
_BACK_OFF = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=25))
"""How long after each failure a plan is asked for again."""

Status = Literal["due", "at work", "done", "waiting", "stuck"]


@dataclass(frozen=True)
class Standing:
    """Where a plan stands: to be asked for as the ``attempt``-th run, at work, done, waiting to be tried again, stuck.

    ``note`` says it for people.
    """

    status: Status
    attempt: int = 0
    note: str = ""


@dataclass(frozen=True)
class Requests:
    """What one tick asks for, a note on each plan that it does not ask for, and what a person must look at."""

    requests: tuple[dg.RunRequest, ...]
    notes: tuple[str, ...]
    stuck: tuple[str, ...]


def run_request(
    manifest: Manifest, plan: RunPlan, now: datetime, mount: Mount = STANDALONE, *, attempt: int = 0
) -> dg.RunRequest:
    """Return the run request of ``plan``, with its reason and ``now`` on the run; ``attempt`` counts from 0."""
    checks = [key for monitor in plan.monitors for key in check_keys(manifest, monitor, mount)]
    checks += [contract_key(source, mount) for source in plan.contracts]
    return dg.RunRequest(
        # Dagster makes one run of each key.
        run_key=f"{plan.key}-{attempt}" if attempt else plan.key,
        asset_selection=[mount.key(ref) for ref in plan.refs],
        asset_check_keys=checks,
        partition_key=plan.partition if plan.partition and plan.refs and not plan.last else None,
        tags={
            **plan.tags,
            # For a run of checks alone Dagster looks for one definition of partitions that the whole book shares.
            **({PARTITION_NAME_TAG: plan.partition} if plan.partition and not plan.refs else {}),
            **(range_tags(plan.partition, plan.last) if plan.last else {}),
            PLAN_TAG: mount.plan(plan.key),
            REASON_TAG: plan.reason[:_LONGEST_TAG],
            NOW_TAG: now.isoformat(),
        },
    )


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the tags of a run over the partitions from ``first`` to ``last``."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


def reason_of(run: dg.DagsterRun) -> str:
    """Return why a run was made, empty if nothing says so."""
    return run.tags.get(REASON_TAG) or run.tags.get(_EARLIER_REASON_TAG, "")


def requested_before(instance: dg.DagsterInstance, plan: RunPlan, mount: Mount = STANDALONE) -> dg.DagsterRun | None:
    """Return the newest run of this plan, whoever asked for it: a sensor, a replay, or a retry."""
    return next(iter(instance.get_runs(dg.RunsFilter(tags={PLAN_TAG: mount.plan(plan.key)}), limit=1)), None)


def open_requests(
    manifest: Manifest,
    instance: dg.DagsterInstance,
    plans: tuple[RunPlan, ...],
    now: datetime,
    mount: Mount = STANDALONE,
) -> Requests:
    """Return the requests for plans that no run has answered, or that are to be tried again.

    A run that crashed, and that Dagster could not try again, counts as none. One that failed by itself is tried again
    as often as its plan says, later each time, and is stuck after that.
    """
    standings = [(plan, standing_of(instance, plan, now, mount, zone=manifest.timezone)) for plan in plans]
    due = ((plan, at.attempt) for plan, at in standings if at.status == "due")
    return Requests(
        tuple(run_request(manifest, plan, now, mount, attempt=attempt) for plan, attempt in due),
        tuple(at.note for _, at in standings if at.note),
        tuple(at.note for _, at in standings if at.status == "stuck"),
    )


def standing_of(
    instance: dg.DagsterInstance, plan: RunPlan, now: datetime, mount: Mount = STANDALONE, *, zone: str = "UTC"
) -> Standing:
    """Return where a plan stands, by its newest runs; moments are told by the clock of ``zone``."""
    found = instance.get_run_records(dg.RunsFilter(tags={PLAN_TAG: mount.plan(plan.key)}), limit=_MOST_RUNS)
    if not found:
        return Standing("due")
    run, tried = found[0].dagster_run, len(found)
    told = f"{plan.reason}: run {run.run_id[:8]} is {run.status.value.lower()}"
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return Standing("at work" if not run.is_finished else "done", note=told)
    if tried < _MOST_RUNS and _retry_was_lost(instance, run):
        return Standing("due", tried)
    if tried > plan.retries:
        return Standing("stuck" if plan.retries else "done", note=told)
    again = _ended(found[0]) + _BACK_OFF[min(tried, len(_BACK_OFF)) - 1]
    if now >= again:
        return Standing("due", tried)
    return Standing("waiting", note=f"{told}; it is tried again at {shown(again, zone)}")


def _ended(record: dg.RunRecord) -> datetime:
    if record.end_time is not None:
        return datetime.fromtimestamp(record.end_time, UTC)
    return record.update_timestamp.astimezone(UTC)


def _retry_was_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return any(event.dagster_event is not None and event.dagster_event.message == RETRY_LOST for event in events)

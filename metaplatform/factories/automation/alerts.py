"""The sensor that tells people of failed runs and ticks: what is held up or refused fails a tick, and is told so."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus
from dagster._core.storage.tags import PARTITION_NAME_TAG, WILL_RETRY_TAG

from metaplatform.compute.policy.alerting import Alert, Trouble, alerts
from metaplatform.factories.automation.run_requests import reason_of
from metaplatform.factories.failures import said_by
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.specs.entities.families import NotificationSpec
from metaplatform.work.steps import APPLY_TAGS, REPLAY_TAGS

_OLDEST = timedelta(days=30)
_MOST_RUNS = 50
_MOST_RUNS_OF_ALL = 500
"""So many are looked through where others' runs, on the same Dagster instance, are not the book's."""
_QUIET = timedelta(minutes=10)
"""A sensor that has not failed for so long is well: one that is held up fails now and then, and skips in between."""


def alerts_sensor(
    channels: Sequence[NotificationSpec], interval_seconds: int, mount: Mount = STANDALONE
) -> dg.SensorDefinition:
    """Return the sensor ``alerts`` of a deployment whose own messages go to ``channels``."""

    @dg.sensor(
        name=mount.named("alerts"),
        description="Tell people of failed runs and ticks: once when it begins, once when it is over.",
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys=mount.all_named("notifier", "clock"),
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        notifier, clock = mount.resource(context, "notifier"), mount.resource(context, "clock")
        told = {cause: Alert(**alert) for cause, alert in json.loads(context.cursor or "{}").items()}
        now = clock.now()
        origin = context.code_location_origin
        place = origin.location_name if origin else None
        seen = [*failed_runs(context.instance, now, mount), *failed_ticks(context.instance, now, mount, place)]
        messages, kept = alerts(seen, told, now)
        for message in messages:
            notifier.tell(message, channels)
        cursor = json.dumps({cause: asdict(alert) for cause, alert in kept.items()})
        return dg.SensorResult(skip_reason=f"{len(kept)} troubles last", cursor=cursor)

    return evaluate


def failed_runs(instance: dg.DagsterInstance, now: datetime, mount: Mount = STANDALONE) -> Iterator[Trouble]:
    """Yield the runs that failed for good and were not made good by a later one, one for each assets and partition.

    Of a mounted book these are the runs of its assets, checks and jobs. Those of a replay or an apply are left out:
    who started them is told by the command.
    """
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - _OLDEST)
    seen: set[str] = set()
    for record in instance.get_run_records(failed, limit=_MOST_RUNS_OF_ALL if mount.name else _MOST_RUNS):
        run = record.dagster_run
        if not _is_own(run, mount):
            continue
        partition = run.tags.get(PARTITION_NAME_TAG, "")
        assets = sorted(key.to_user_string() for key in run.asset_selection or ())
        cause = f"run {run.job_name} {partition} {' '.join(assets)}"
        if {*REPLAY_TAGS, *APPLY_TAGS} & run.tags.keys() or run.tags.get(WILL_RETRY_TAG) == "true" or cause in seen:
            continue
        seen.add(cause)
        if not _made_good(instance, record):
            what = reason_of(run) or ", ".join(assets) or run.job_name
            yield Trouble(
                cause=cause,
                since=record.create_timestamp,
                title=f"A run failed: {what}",
                body=_reason(instance, run.run_id),
                links={"run": f"/runs/{run.run_id}"},
            )


def failed_ticks(
    instance: dg.DagsterInstance, now: datetime, mount: Mount = STANDALONE, location: str | None = None
) -> Iterator[Trouble]:
    """Yield the sensors and schedules that fail, each with what it says; of a mounted book its own in ``location``."""
    for state in instance.all_instigator_state():
        if not mount.is_named(state.name) or (mount.name and location not in {None, _location(state)}):
            continue
        ended = [TickStatus.FAILURE, TickStatus.SUCCESS]
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=ended)
        if state.is_running and ticks and _lasts(state, ticks[0], now):
            said = said_by(ticks[0].error) or "no reason is known"
            place = "sensors" if state.instigator_type == InstigatorType.SENSOR else "schedules"
            yield Trouble(
                cause=f"{place} {state.name} {said}",
                since=datetime.fromtimestamp(ticks[0].timestamp, UTC),
                title=f"{state.name} fails: {said.splitlines()[0]}",
                body=said,
                links={"automation": "/automation"},
            )


def _location(state: InstigatorState) -> str:
    return state.origin.repository_origin.code_location_origin.location_name


def _is_own(run: dg.DagsterRun, mount: Mount) -> bool:
    """Tell whether a run is of the book's assets, its checks or its jobs."""
    if not mount.name:
        return True
    keys = [*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())]
    return mount.is_named(run.job_name) or any(mount.ref(key) for key in keys)


def _lasts(state: InstigatorState, tick: InstigatorTick, now: datetime) -> bool:
    recent = tick.timestamp >= (now - _QUIET).timestamp()
    return tick.status is TickStatus.FAILURE and (recent or state.instigator_type == InstigatorType.SCHEDULE)


def _made_good(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    """Return whether a later run has made some of the same assets, in the same partition."""
    run = record.dagster_run
    tags = {PARTITION_NAME_TAG: run.tags[PARTITION_NAME_TAG]} if PARTITION_NAME_TAG in run.tags else {}
    done = [dg.DagsterRunStatus.SUCCESS]
    later = dg.RunsFilter(statuses=done, tags=tags, created_after=record.create_timestamp)
    failed = set(run.asset_selection or ())
    found = instance.get_runs(later, limit=_MOST_RUNS)
    return any(not failed or not failed.isdisjoint(other.asset_selection or failed) for other in found)


def _reason(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return what the first failed step of a run said, or the run's own last word."""
    for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE):
        for entry in instance.all_logs(run_id, of_type=kind):
            event = entry.dagster_event
            said = said_by(event.step_failure_data.error) if event and event.is_step_failure else ""
            if said := said or (event.message or "" if event else "").strip():
                return said
    return "The run ended without a message."

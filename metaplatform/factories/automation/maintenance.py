"""Maintenance of tables and of Dagster's history as a job of its own, once a day: it grows with what there is."""

from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

from metaplatform import places
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.factories.signatures import with_signature
from metaplatform.resources.process.run_retention import Forgotten, RunRetention
from metaplatform.work.steps import PLAN_TAG
from metaplatform.work.training import DECISION_TAG

MAINTENANCE = "maintenance"
"""Name of the job, and of its schedule."""
_NIGHTLY = "30 3 * * *"


def maintenance_schedule(
    timezone: str, keep_versions_days: int, keep_runs_days: int, mount: Mount = STANDALONE
) -> dg.ScheduleDefinition:
    """Return the schedule that maintains all tables each night of ``timezone``; replays do not ask it.

    A book with a Dagster instance of its own has that maintained too; the history of a project that mounts it is the
    project's.
    """

    @dg.op(name=mount.named("maintain_tables"), required_resource_keys=mount.all_named("warehouse", "clock"))
    @with_signature
    def maintain_tables(context: dg.OpExecutionContext) -> None:
        warehouse, now = mount.resource(context, "warehouse"), mount.resource(context, "clock").now()
        done = warehouse.maintain_all(keep=timedelta(days=keep_versions_days), now=now)
        for ref, maintained in done.items():
            context.log.info("%s: %s", ref, maintained)
        context.log.info("%d tables needed it", len(done))

    @dg.op(required_resource_keys={"warehouse", "clock"})
    @with_signature
    def forget_runs(context: dg.OpExecutionContext) -> None:
        root, now = mount.resource(context, "warehouse").root_path, mount.resource(context, "clock").now()
        done = forget_old_runs(context.instance, root, keep_days=keep_runs_days, now=now)
        context.log.info(str(done or "Dagster's history is not below this root, or of another kind: it stays"))

    @dg.job(
        name=mount.named(MAINTENANCE),
        description="Sets statistics of tables right, and removes files of old versions, and what Dagster keeps of "
        "old runs.",
    )
    def maintenance() -> None:
        maintain_tables()
        if not mount.name:
            forget_runs()

    return dg.ScheduleDefinition(
        name=mount.named(MAINTENANCE),
        job=maintenance,
        cron_schedule=_NIGHTLY,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Maintains the tables each night; versions stay readable for {keep_versions_days} days, runs for "
        f"{keep_runs_days}.",
    )


def forget_old_runs(instance: dg.DagsterInstance, root: Path, *, keep_days: int, now: datetime) -> Forgotten | None:
    """Remove what Dagster keeps of runs that ended so long ago; None if the instance is not that of this root.

    Runs stay by which the loop knows that a plan is not to be asked for again: those that failed, as nothing that was
    made tells of them, and those that answer a decision.
    """
    if Path(instance.root_directory).resolve() != (root / places.DAGSTER).resolve():
        return None
    return RunRetention(now - timedelta(days=keep_days), lasting=DECISION_TAG, lasting_failed=PLAN_TAG).apply(instance)

"""Table maintenance as a job of its own, once a day: it grows with the data, and so is not part of a tick."""

from datetime import timedelta

import dagster as dg

from metaplatform.factories.signatures import with_signature
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.storage.warehouse import Warehouse

MAINTENANCE = "maintenance"
"""Name of the job, and of its schedule."""
_NIGHTLY = "30 3 * * *"


def maintenance_schedule(timezone: str, keep_versions_days: int) -> dg.ScheduleDefinition:
    """Return the schedule that maintains all tables each night of ``timezone``; replays do not ask it."""

    @dg.op(name="maintain_tables")
    @with_signature
    def maintain_tables(context: dg.OpExecutionContext, warehouse: Warehouse, clock: Clock) -> None:
        done = warehouse.maintain_all(keep=timedelta(days=keep_versions_days), now=clock.now())
        for ref, maintained in done.items():
            context.log.info("%s: %s", ref, maintained)
        context.log.info("%d tables needed it", len(done))

    @dg.job(name=MAINTENANCE, description="Sets statistics of tables right, and removes files of versions of before.")
    def maintenance() -> None:
        maintain_tables()

    return dg.ScheduleDefinition(
        name=MAINTENANCE,
        job=maintenance,
        cron_schedule=_NIGHTLY,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Maintains the tables each night; versions stay readable for {keep_versions_days} days.",
    )

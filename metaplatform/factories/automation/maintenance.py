"""Table maintenance as a job of its own, once a day: it grows with the data, and so is not part of a tick."""

from datetime import timedelta

import dagster as dg

from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.factories.signatures import with_signature

MAINTENANCE = "maintenance"
"""Name of the job, and of its schedule."""
_NIGHTLY = "30 3 * * *"


def maintenance_schedule(timezone: str, keep_versions_days: int, mount: Mount = STANDALONE) -> dg.ScheduleDefinition:
    """Return the schedule that maintains all tables each night of ``timezone``; replays do not ask it."""

    @dg.op(name=mount.named("maintain_tables"), required_resource_keys=mount.all_named("warehouse", "clock"))
    @with_signature
    def maintain_tables(context: dg.OpExecutionContext) -> None:
        warehouse, now = mount.resource(context, "warehouse"), mount.resource(context, "clock").now()
        done = warehouse.maintain_all(keep=timedelta(days=keep_versions_days), now=now)
        for ref, maintained in done.items():
            context.log.info("%s: %s", ref, maintained)
        context.log.info("%d tables needed it", len(done))

    @dg.job(
        name=mount.named(MAINTENANCE),
        description="Sets statistics of tables right, and removes files of old versions.",
    )
    def maintenance() -> None:
        maintain_tables()

    return dg.ScheduleDefinition(
        name=mount.named(MAINTENANCE),
        job=maintenance,
        cron_schedule=_NIGHTLY,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Maintains the tables each night; versions stay readable for {keep_versions_days} days.",
    )

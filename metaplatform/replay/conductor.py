"""Asks the platform's own sensors and schedules at each moment, and runs what they request, in process."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from metaplatform.errors import MetaplatformError
from metaplatform.execution import run_in_process
from metaplatform.factories.automation.maintenance import MAINTENANCE
from metaplatform.factories.automation.run_requests import REASON_TAG
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.replay.ticks import cron_ticks
from metaplatform.resources.process.clock import Clock
from metaplatform.work.steps import REPLAY_TAG, STAND_BY_TAG

_TICK = timedelta(microseconds=1)
_MOST_ROUNDS = 1_000
"""A moment that still asks for runs after so many rounds would ask for ever."""


@dataclass
class Conductor:
    """Plays the daemon's part over one Dagster instance: the same definitions, another clock.

    ``mount`` is the book's place in the definitions: others' sensors and schedules there are not asked, nor those
    of the book that ``skip`` names. ``announce`` gets a line for each run that starts. ``cursors`` are the
    sensors' own, by name.
    """

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    announce: Callable[[str], None]
    skip: frozenset[str] = frozenset()
    runs: int = 0
    cursors: dict[str, str | None] = field(default_factory=dict)
    mount: Mount = STANDALONE

    def play(self, now: datetime) -> None:
        """Let ``now`` come: run all that sensors ask for until they are quiet, then due schedules, then again.

        Raises:
            MetaplatformError: if a run fails, or a moment never comes to rest.
        """
        self.settle(now)
        if sum(self._ask_schedules(now)):
            self.settle(now)

    def _ask_schedules(self, now: datetime) -> Iterator[int]:
        """Yield how many runs each cron tick at ``now`` led to: every tick is a moment of its own."""
        for schedule in self._repository.schedule_defs:
            if schedule.name == self.mount.named(MAINTENANCE) or not self.mount.is_named(schedule.name):
                continue
            for tick in cron_ticks(str(schedule.cron_schedule), schedule.execution_timezone or "UTC", now - _TICK, now):
                yield self._ask_schedule(schedule, tick)

    @property
    def _repository(self) -> dg.RepositoryDefinition:
        return self.definitions.get_repository_def()

    def settle(self, now: datetime) -> None:
        """Run all that sensors ask for at ``now``, until they are quiet.

        Raises:
            MetaplatformError: if a run fails, or the moment never comes to rest.
        """
        made: set[object] = set()
        for rounds in count():
            requests = [request for sensor in self._sensors() for request in self._ask_sensor(sensor, now)]
            if not requests:
                return
            asked = {_what(request) for request in requests}
            # Many partitions may come at one moment, one a round; what never rests makes the same again and again.
            if rounds >= _MOST_ROUNDS and asked <= made:
                raise MetaplatformError(
                    owner="replay",
                    culprit=f"still new runs after {rounds} rounds at {now}",
                    fix="look at the newest runs in Dagster's UI",
                )
            made |= asked
            for request in requests:
                self._run(request)

    def _sensors(self) -> Iterator[dg.SensorDefinition]:
        skip = self.mount.all_named(*self.skip)
        found = self._repository.sensor_defs
        return (sensor for sensor in found if self.mount.is_named(sensor.name) and sensor.name not in skip)

    def _ask_sensor(self, sensor: dg.SensorDefinition, now: datetime) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor.name),
            repository_def=self._repository,
            resources=self._resources(now),
        )
        evaluated = sensor.evaluate_tick(context)
        self.cursors[sensor.name] = evaluated.cursor or self.cursors.get(sensor.name)
        return list(evaluated.run_requests or [])

    def _ask_schedule(self, schedule: dg.ScheduleDefinition, tick: datetime) -> int:
        context = dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=tick.astimezone(ZoneInfo(schedule.execution_timezone or "UTC")),
            repository_def=self._repository,
            resources=self._resources(tick),
        )
        requests = list(schedule.evaluate_tick(context).run_requests or [])
        for request in requests:
            selection = set(self._repository.get_job(schedule.job_name).asset_layer.executable_asset_keys)
            self._run(request, selection)
        return len(requests)

    def _resources(self, now: datetime) -> dict[str, dg.ResourceDefinition]:
        """Return what sensors and schedules ask for, as it is: Dagster would make each again, for each of them."""
        given = self.definitions.resources or {}
        found = {name: given[name] for name in self.mount.all_named("warehouse", "registry", "notifier")}
        found[self.mount.named("clock")] = Clock(at=now.isoformat())
        return {name: dg.ResourceDefinition.hardcoded_resource(resource) for name, resource in found.items()}

    def _run(self, request: dg.RunRequest, selection: Collection[dg.AssetKey] = ()) -> None:
        self.announce(request.tags.get(REASON_TAG, ""))
        self.runs += 1
        stand_by = {STAND_BY_TAG: "true"} if "reactions" in self.skip else {}
        run_in_process(
            self._repository,
            self.instance,
            assets=selection or request.asset_selection or (),
            checks=request.asset_check_keys or (),
            partition=request.partition_key,
            tags={**request.tags, REPLAY_TAG: "true", **stand_by},
        )


def _what(request: dg.RunRequest) -> object:
    """Return what a request is to make or check, of which partition."""
    return (
        frozenset(request.asset_selection or ()),
        frozenset(request.asset_check_keys or ()),
        request.partition_key or request.tags.get(PARTITION_NAME_TAG),
    )

"""A run launcher that can tell whether a run's process still lives.

Dagster's own local launcher cannot: a run whose process was killed together with its code server stays ``STARTED``
until its maximum runtime is over, and every guard that waits for runs in flight waits with it. With a health check,
run monitoring fails such a run at its next poll, and run retries start it again from the step that was cut off.

The settings of each Dagster home name this module by its path: it must not move.
"""

import json
import os
import platform
from collections.abc import Mapping

import dagster as dg
import psutil
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.base import LaunchRunContext

from metaplatform.naming import HIDDEN_TAG

HOST_TAG = f"{HIDDEN_TAG}host"
PID_TAG = f"{HIDDEN_TAG}pid"

_GRPC_TAG = ".dagster/grpc_info"
_STARTED = "Started process for run (pid: "
_CLOCK_SLACK_SECONDS = 2.0


def worker_tags() -> dict[str, str]:
    """Return run tags that name this machine and process.

    Give them to runs executed in this very process (``dg.materialize(..., tags=worker_tags())``): they have no
    launcher, and without the tags nobody could tell that they died.
    """
    return {HOST_TAG: platform.node(), PID_TAG: str(os.getpid())}


def process_lives(pid: int, started_before: float) -> bool:
    """Return whether process ``pid`` runs on this machine and began before ``started_before`` (Unix seconds).

    A process that began later only took over the number of the one that is gone; a zombie has ended.
    """
    try:
        process = psutil.Process(pid)
        return bool(
            process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= started_before + _CLOCK_SLACK_SECONDS
        )
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


class LocalRunLauncher(dg.DefaultRunLauncher):
    """Launches like ``DefaultRunLauncher`` and answers Dagster's question whether a run's process still lives.

    Only a process that is certainly gone is reported as such: a run of another machine, or one whose process is not
    known, counts as running and is left to its maximum runtime.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch the run through its code server and note the machine."""
        run = context.dagster_run
        self._instance.add_run_tags(run.run_id, {HOST_TAG: platform.node(), PID_TAG: ""})
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether run monitoring may ask: always."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return ``NOT_FOUND`` when the run's process is gone from this machine, else ``RUNNING``."""
        current = self._instance.get_run_by_id(run.run_id)
        tags = current.tags if current else run.tags
        worker = self._worker(run.run_id, tags) if _is_local(tags) else None
        if worker is None or process_lives(*worker):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, f"process {worker[0]} of this run is gone from {platform.node()}"
        )

    def _worker(self, run_id: str, tags: Mapping[str, str]) -> tuple[int, float] | None:
        """Return the run's process id and the Unix time it was known to live, or None when nobody recorded it."""
        events = self._instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        for event in reversed(events):
            message = event.dagster_event.message if event.dagster_event else None
            if message and message.startswith(_STARTED):
                digits = message.removeprefix(_STARTED).partition(")")[0]
                return int(digits), event.timestamp
        record = self._instance.get_run_record_by_id(run_id)
        if record and tags.get(PID_TAG, "").isdigit():
            return int(tags[PID_TAG]), record.create_timestamp.timestamp()
        return None


def _is_local(tags: Mapping[str, str]) -> bool:
    """Return whether the run's process is on this machine: launched here, by a code server that is here."""
    server = json.loads(tags.get(_GRPC_TAG, "{}"))
    here = bool(server.get("socket")) or server.get("host", "localhost") in {"localhost", "127.0.0.1", "::1"}
    return here and tags.get(HOST_TAG) == platform.node()

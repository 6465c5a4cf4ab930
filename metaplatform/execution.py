"""Runs of the platform's assets in this process, on the deployment's own Dagster instance."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager

from metaplatform import places
from metaplatform.errors import MetaplatformError, StorageError
from metaplatform.factories.automation.state import NOT_FINISHED
from metaplatform.factories.failures import decisive, said_by
from metaplatform.resources.engine.interruptions import interruptions_noted
from metaplatform.resources.process.dagster_instance import instance_ref
from metaplatform.resources.process.shared_history import home_in_use
from metaplatform.resources.run_launcher import worker_tags
from metaplatform.resources.storage.root_lock import sole_holder
from metaplatform.resources.storage.root_use import check_holder, root_in_use
from metaplatform.specs.book.deployment import Deployment

_NO_COPIES: Mapping[str, Any] = {
    "compute_logs": {"module": NoOpComputeLogManager.__module__, "class": NoOpComputeLogManager.__name__}
}


class RunFailedError(MetaplatformError):
    """A run did not succeed; ``kind`` is the class of the error in its first failed step."""

    def __init__(self, *, owner: str, culprit: str, fix: str, kind: str) -> None:
        super().__init__(owner=owner, culprit=culprit, fix=fix)
        self.kind = kind

    @property
    def by_check(self) -> bool:
        """Tell whether a blocking check has ended the run, and no error."""
        return self.kind == DagsterAssetCheckFailedError.__name__


def run_in_process(
    repository: dg.RepositoryDefinition,
    instance: dg.DagsterInstance,
    *,
    assets: Collection[dg.AssetKey],
    checks: Collection[dg.AssetCheckKey] = (),
    partition: str | None = None,
    tags: Mapping[str, str],
) -> None:
    """Materialize ``assets`` and evaluate ``checks`` in one run.

    Raises:
        RunFailedError: if a step fails.
        KeyboardInterrupt: if the run was asked to stop, whatever the outcome.
    """
    job = repository.get_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection=set(assets), asset_check_selection=set(checks))
    with interruptions_noted() as interrupted:
        result = subset.execute_in_process(
            instance=instance,
            partition_key=partition,
            tags={**tags, **worker_tags()},
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        if interrupted():
            raise KeyboardInterrupt
    if not result.success:
        raise _failure(result)


def _failure(result: dg.ExecuteInProcessResult) -> RunFailedError:
    failed = next((event for event in result.all_events if event.is_step_failure), None)
    ended = next((event for event in result.all_events if event.is_run_failure), None)
    error = failed.step_failure_data.error if failed else ended.job_failure_data.error if ended else None
    root = decisive(error)
    message = said_by(error) or "the run failed outside its steps"
    checks = [check for check in result.get_asset_check_evaluations() if check.blocking and not check.passed]
    if checks:
        message = "; ".join(f"check {check.check_name} failed: {check.description}" for check in checks)
    step = failed.step_key if failed else "run"
    return RunFailedError(
        owner=step or "run",
        culprit=message,
        fix=f"see run {result.run_id} in Dagster's UI",
        kind=(root.cls_name if root else None) or "",
    )


def end_dead_runs(instance: dg.DagsterInstance, *tags: str) -> None:
    """Fail the unfinished runs that carry one of ``tags``; to be called by whoever knows that none lives."""
    for tag in tags:
        for run in instance.get_runs(dg.RunsFilter(tags={tag: "true"}, statuses=list(NOT_FINISHED))):
            instance.report_run_failed(run, "the process that executed this run was ended")


@contextmanager
def sole_apply(root: Path) -> Iterator[None]:
    """Be the only apply at work below a storage root, and no replay.

    Raises:
        StorageError: if another is, or a project that mounts the book works there: its runs are unknown here.
    """
    check_holder(root)
    refusal = StorageError(
        owner=str(root), culprit="another apply is at work there", fix="wait for it, or name another --root"
    )
    with root_in_use(root), sole_holder(root / places.APPLY_LOCK, refusal):
        yield


@contextmanager
def deployment_instance(deployment: Deployment, *, replaying: bool = False) -> Iterator[dg.DagsterInstance]:
    """Yield the deployment's Dagster instance; DAGSTER_HOME leads to it meanwhile. Replays share no history.

    What runs print is not kept apart: it goes to this process's own streams, and Dagster's four processes a run that
    would copy it are started by nobody, nor told of a Ctrl-C.
    """
    before = os.environ.get("DAGSTER_HOME")
    with home_in_use(deployment.dagster_home, shared=not replaying) as home:
        os.environ["DAGSTER_HOME"] = str(home)
        try:
            with dg.DagsterInstance.from_ref(instance_ref(home, _NO_COPIES)) as instance:
                yield instance
        finally:
            if before is None:
                del os.environ["DAGSTER_HOME"]
            else:
                os.environ["DAGSTER_HOME"] = before

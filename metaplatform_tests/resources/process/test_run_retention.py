"""What is removed of old runs, and what Dagster's pages and the loop still find, over each storage there is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from metaplatform.resources.process.dagster_home import write_dagster_home
from metaplatform.resources.process.run_history import kept_storage
from metaplatform.resources.process.run_retention import Forgotten, RunRetention
from metaplatform_tests.resources import databases

_DAYS = dg.StaticPartitionsDefinition(["2024-01-01", "2024-01-02", "2024-01-03"])
_BAD = "2024-01-03"
_PLAN, _ANSWER = "plan", "answer"
_CHECK = dg.AssetCheckKey(dg.AssetKey("flights"), "whole")
numbers = count()


@dg.multi_asset(
    specs=[dg.AssetSpec("flights", partitions_def=_DAYS)],
    check_specs=[dg.AssetCheckSpec("whole", asset="flights")],
)
def _flights(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    if context.partition_key == _BAD:
        raise ValueError("no such day")
    yield dg.MaterializeResult(metadata={"run": context.run.tags["n"]}, tags={"quality": "good"})
    yield dg.AssetCheckResult(passed=context.run.tags["n"] != "1", asset_key="flights", check_name="whole")


@dg.asset
def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log_event(dg.AssetObservation("flights", metadata={"run": context.run.tags["n"]}))
    return dg.MaterializeResult(metadata={"run": context.run.tags["n"]})


_JOB = dg.Definitions(assets=[_flights, report]).resolve_implicit_global_asset_job_def()


@pytest.fixture(params=["sqlite", "kept", "postgresql"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any] | None:
    """Return the storage to use below a home; None for SQLite over kept connections."""
    if request.param != "postgresql":
        return {} if request.param == "sqlite" else None
    url = databases.new_database(request.getfixturevalue("server"), f"runs_{next(numbers)}")
    return {"storage": {"postgres": {"postgres_url": url}}}


class History:
    """A Dagster instance with runs of a small job."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self._number = count(1)

    def run(self, asset: str, partition: str | None = None, **tags: str) -> str:
        """Make an asset in a run; return the run's id. ``n`` counts the runs."""
        job = _JOB.get_subset(asset_selection={dg.AssetKey(asset)})
        done = job.execute_in_process(
            instance=self.instance,
            partition_key=partition,
            tags={"n": str(next(self._number)), **tags},
            raise_on_error=False,
        )
        return done.run_id

    def forget(self, before: datetime | None = None) -> Forgotten:
        done = RunRetention(before or datetime.now(UTC) + timedelta(days=1), _ANSWER, _PLAN).apply(self.instance)
        assert done is not None
        return done

    def materialized(self) -> dict[str, str]:
        """Return, by partition, which run is shown to have made it last."""
        found = {}
        for day in self.instance.get_materialized_partitions(dg.AssetKey("flights")):
            filters = dg.AssetRecordsFilter(dg.AssetKey("flights"), asset_partitions=[day])
            [newest] = self.instance.fetch_materializations(filters, limit=1).records
            found[day] = str(newest.asset_materialization.metadata["run"].value)
        return found

    def partitions(self) -> tuple[set[str], set[str]]:
        """Return the partitions that Dagster's pages show as materialized, and as failed."""
        flights = dg.AssetKey("flights")
        status = get_and_update_asset_status_cache_value(self.instance, flights, _DAYS)
        assert status is not None
        made = status.get_materialized_subset(self.instance, flights, _DAYS)
        failed = status.get_failed_subset(self.instance, flights, _DAYS)
        return set(made.expensively_compute_partition_keys()), set(failed.expensively_compute_partition_keys())

    def latest(self) -> dict[str, str]:
        """Return the newest materialization, observation and check result, as pages show them."""
        seen = self.instance.fetch_observations(dg.AssetKey("flights"), limit=1).records
        made = self.instance.get_latest_materialization_event(dg.AssetKey("report"))
        checks = self.instance.event_log_storage.get_latest_asset_check_execution_by_key([_CHECK])
        assert made is not None
        return {
            "report": str(made.asset_materialization.metadata["run"].value),
            "seen": str(seen[0].asset_observation.metadata["run"].value),
            "check": checks[_CHECK].status.value,
            "of": checks[_CHECK].run_id,
        }

    @property
    def runs(self) -> set[str]:
        return {run.run_id for run in self.instance.get_runs()}


@pytest.fixture
def history(tmp_path: Path, settings: dict[str, Any] | None) -> Iterator[History]:
    with opened(tmp_path, settings) as instance:
        yield History(instance)


@contextmanager
def opened(folder: Path, settings: dict[str, Any] | None) -> Iterator[dg.DagsterInstance]:
    home = write_dagster_home(folder)
    overrides = kept_storage(home) if settings is None else settings
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides)) as instance:
        yield instance


def test_what_pages_show_of_assets_stays_and_the_rest_goes(history: History) -> None:
    replaced = [history.run("flights", "2024-01-01"), history.run("report")]
    kept = [
        history.run("flights", "2024-01-01"),
        history.run("flights", "2024-01-02"),
        history.run("flights", _BAD),
        history.run("report"),
    ]
    shown = history.materialized(), history.partitions(), history.latest()
    assert shown[0] == {"2024-01-01": "3", "2024-01-02": "4"}
    assert shown[1] == ({"2024-01-01", "2024-01-02"}, {_BAD})
    done = history.forget()
    assert history.runs == set(kept)
    assert done.runs == len(replaced)
    assert (history.materialized(), history.partitions(), history.latest()) == shown
    kinds = {event.dagster_event_type for run in kept[:-1] for event in history.instance.all_logs(run)}
    assert kinds <= {
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.ASSET_OBSERVATION,
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    }
    assert history.forget() == Forgotten()
    history.run("flights", _BAD)
    history.run("flights", "2024-01-01")
    assert history.materialized() == {"2024-01-01": "8", "2024-01-02": "4"}
    assert history.partitions() == ({"2024-01-01", "2024-01-02"}, {_BAD})


def test_runs_of_these_days_and_those_not_over_are_left_alone(history: History) -> None:
    old = [history.run("report") for _ in range(2)]
    at_work = [
        history.instance.add_run(dg.DagsterRun("nightly", str(uuid4()), status=status)).run_id
        for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED)
    ]
    for run in at_work:
        history.instance.report_engine_event("waits", dg.DagsterRun("nightly", run))
    before = datetime.now(UTC)
    new = [history.run("report") for _ in range(2)]
    events = {run: len(history.instance.all_logs(run)) for run in (*at_work, *new)}
    history.forget(before)
    assert history.runs == {*at_work, *new}
    assert not history.runs & set(old)
    assert {run: len(history.instance.all_logs(run)) for run in (*at_work, *new)} == events


def test_a_backfill_that_is_at_work_keeps_its_runs(history: History) -> None:
    def backfill(name: str, status: BulkActionStatus) -> str:
        history.instance.add_backfill(
            PartitionBackfill(name, status, from_failure=False, tags={}, backfill_timestamp=0.0, partition_names=[])
        )
        return history.run("flights", "2024-01-01", **{"dagster/backfill": name})

    at_work, over = backfill("one", BulkActionStatus.REQUESTED), backfill("two", BulkActionStatus.COMPLETED_SUCCESS)
    events = len(history.instance.all_logs(at_work))
    history.run("flights", "2024-01-01")
    history.run("report")
    history.forget()
    assert at_work in history.runs
    assert over not in history.runs
    assert len(history.instance.all_logs(at_work)) == events


def test_runs_that_the_loop_goes_by_stay_without_their_events(history: History) -> None:
    failed = history.run("flights", _BAD, **{_PLAN: "arrival-1"})
    answer = history.run("report", **{_PLAN: "retrain-1", _ANSWER: "1"})
    succeeded = history.run("report", **{_PLAN: "read-1"})
    history.run("flights", _BAD)
    newest = history.run("report")
    history.forget()
    assert {failed, answer, newest} <= history.runs
    assert succeeded not in history.runs
    assert history.instance.get_runs(dg.RunsFilter(tags={_PLAN: "arrival-1"}))[0].status is dg.DagsterRunStatus.FAILURE
    assert not history.instance.all_logs(failed)


def test_no_number_is_given_twice(history: History) -> None:
    """Cursors of sensors are numbers of events: a new one must be past all that they have passed."""
    for _ in range(2):
        history.run("report")
    last = history.instance.fetch_run_status_changes(dg.DagsterEventType.RUN_SUCCESS, limit=1).records[0].storage_id
    history.forget()
    history.run("report")
    new = history.instance.fetch_run_status_changes(dg.DagsterEventType.RUN_SUCCESS, limit=1).records[0].storage_id
    assert new > last


def test_what_old_runs_printed_is_removed(history: History) -> None:
    storage = Path(history.instance.storage_directory())
    old, at_work = history.run("report"), str(uuid4())
    history.instance.add_run(dg.DagsterRun("nightly", at_work, status=dg.DagsterRunStatus.STARTED))
    for name in (old, at_work, "__repository__", "a-folder-of-my-own"):
        (storage / name / "compute_logs").mkdir(parents=True, exist_ok=True)
        (storage / name / "compute_logs" / "step.out").write_text("printed")
    young = storage / str(uuid4())
    young.mkdir()
    later = (datetime.now(UTC) + timedelta(days=3)).timestamp()
    os.utime(young, (later, later))
    history.forget()
    assert {path.name for path in storage.iterdir()} == {*(at_work, "__repository__", "a-folder-of-my-own", young.name)}


def test_files_of_sqlite_get_fewer_and_no_longer(tmp_path: Path) -> None:
    databases_of_runs, sizes = tmp_path / "history" / "runs", []
    for _ in range(3):
        with opened(tmp_path, None) as instance:
            for day in _DAYS.get_partition_keys():
                instance.report_runless_asset_event(dg.AssetMaterialization("flights", partition=day))
            for _ in range(8):
                History(instance).run("report")
            History(instance).forget()
        [newest] = [path for path in databases_of_runs.glob("*.db") if len(path.stem) == 36]
        assert newest.stat().st_size < 8192, "the newest stays, emptied"
        with dg.DagsterInstance.from_config(str(tmp_path)) as page:
            assert page.all_logs(newest.stem) == []
            assert len(page.get_materialized_partitions(dg.AssetKey("flights"))) == 3
        sizes.append(sum(path.stat().st_size for path in tmp_path.rglob("*.db")))
    assert sizes[-1] <= sizes[0] * 1.1, "pages that are free are used again"

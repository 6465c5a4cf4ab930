"""What is written over kept connections is read back by Dagster's own storage, as its pages would."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from metaplatform.resources.process.dagster_home import chooses_storage, write_dagster_home
from metaplatform.resources.process.run_history import KeptEvents, kept_storage

_DAYS = dg.StaticPartitionsDefinition(["2024-01-01", "2024-01-02"])


@dg.multi_asset(
    specs=[dg.AssetSpec("flights", tags={"kind": "raw"}, partitions_def=_DAYS)],
    check_specs=[dg.AssetCheckSpec("whole", asset="flights")],
)
def _flights(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    context.log.info("reading")
    yield dg.MaterializeResult(metadata={"rows": 3}, tags={"quality": "good"})
    yield dg.AssetCheckResult(passed=context.partition_key == "2024-01-01", asset_key="flights", check_name="whole")
    context.log_event(dg.AssetMaterialization("drift", partition=context.partition_key))


@dg.asset(deps=["flights"], partitions_def=_DAYS)
def _airports(context: dg.AssetExecutionContext) -> None:
    if context.partition_key == "2024-01-02":
        if os.environ.get("KILLED"):
            os.kill(os.getpid(), 9)
        raise ValueError("no airport")


_JOB = dg.Definitions(assets=[_flights, _airports]).resolve_implicit_global_asset_job_def()


def _kept(home: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=kept_storage(home)))


def _run_both(instance: dg.DagsterInstance) -> None:
    for day in _DAYS.get_partition_keys():
        _JOB.execute_in_process(instance=instance, partition_key=day, raise_on_error=False, tags={"day": day})


def _history(home: Path) -> dict[str, object]:
    """Return all that Dagster's own storage tells of a home, but for ids and moments."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
        events = instance.event_log_storage
        runs = sorted(instance.get_runs(), key=lambda run: run.tags["day"])
        told = {
            run.tags["day"]: [(e.dagster_event_type, e.step_key) for e in instance.all_logs(run.run_id)] for run in runs
        }
        check = dg.AssetCheckKey(dg.AssetKey("flights"), "whole")
        checks = events.get_asset_check_execution_history(check, limit=10)
        latest = instance.get_latest_materialization_event(dg.AssetKey("flights"))
        tags = events.get_event_tags_for_asset(dg.AssetKey("flights"))
        changes = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=10)
        return {
            "runs": [(run.status, run.tags["day"]) for run in runs],
            "events": told,
            "checks": [(c.status, c.partition, c.run_id in {r.run_id for r in runs}) for c in checks],
            "latest": (latest.asset_materialization.partition, latest.asset_materialization.metadata["rows"].value),
            "counts": {
                key.to_user_string(): sorted(events.get_materialized_partitions(key)) for key in events.all_asset_keys()
            },
            "tags": sorted(tag.get("quality", "") for tag in tags),
            "changes": len(changes.records),
        }


def test_what_is_kept_is_what_dagster_keeps(tmp_path: Path) -> None:
    theirs, ours = write_dagster_home(tmp_path / "theirs"), write_dagster_home(tmp_path / "ours")
    with dg.DagsterInstance.from_config(str(theirs)) as instance:
        _run_both(instance)
    with _kept(ours) as instance:
        assert isinstance(instance.event_log_storage, KeptEvents)
        _run_both(instance)
        assert instance.get_runs_count() == 2
    found = _history(ours)
    assert found == _history(theirs)
    assert found["runs"] == [(dg.DagsterRunStatus.SUCCESS, "2024-01-01"), (dg.DagsterRunStatus.FAILURE, "2024-01-02")]
    assert found["counts"]["flights"] == ["2024-01-01", "2024-01-02"]


def test_what_waits_is_written_before_anything_is_read(tmp_path: Path) -> None:
    with _kept(write_dagster_home(tmp_path)) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("flights", partition="2024-01-01"))
        assert instance.get_materialized_partitions(dg.AssetKey("flights")) == {"2024-01-01"}


def test_a_database_that_a_page_has_made_before_is_taken(tmp_path: Path) -> None:
    home = write_dagster_home(tmp_path)
    with _kept(home) as instance, dg.DagsterInstance.from_config(str(home)) as page:
        run = instance.add_run(dg.DagsterRun("daily", "11111111-2222-4333-8444-555555555555"))
        assert not page.all_logs(run.run_id)
        instance.report_engine_event("seen", run)
        instance.report_run_failed(run)
        assert [log.dagster_event_type for log in page.all_logs(run.run_id)] == [
            dg.DagsterEventType.ENGINE_EVENT,
            dg.DagsterEventType.RUN_FAILURE,
        ]


def test_a_killed_process_leaves_whole_databases_and_all_steps_that_were_done(tmp_path: Path) -> None:
    home = write_dagster_home(tmp_path)
    code = f"""
import {__name__} as here
from pathlib import Path
with here._kept(Path({str(home)!r})) as instance:
    here._run_both(instance)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "KILLED": "1"}, capture_output=True, check=False
    )
    assert ended.returncode == -9, ended.stderr.decode()
    for database in home.rglob("*.db"):
        with sqlite3.connect(database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_materialized_partitions(dg.AssetKey("flights")) == {"2024-01-01", "2024-01-02"}
        [killed] = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        assert killed.tags["day"] == "2024-01-02"
    with _kept(home) as instance:
        _JOB.execute_in_process(instance=instance, partition_key="2024-01-01", tags={"day": "2024-01-01"})
        assert instance.get_runs_count() == 3


def test_a_storage_that_a_person_has_chosen_is_seen(tmp_path: Path) -> None:
    for settings in ("", "telemetry: {enabled: false}"):
        (tmp_path / "dagster.yaml").write_text(settings)
        assert not chooses_storage(tmp_path)
    (tmp_path / "dagster.yaml").write_text("storage: {sqlite: {base_dir: there}}")
    assert chooses_storage(tmp_path)


def test_a_page_that_follows_a_run_is_told_what_is_new_while_the_run_is_at_work(tmp_path: Path) -> None:
    home, told = write_dagster_home(tmp_path), list[str]()
    with _kept(home) as instance, dg.DagsterInstance.from_config(str(home)) as page:
        run = instance.add_run(dg.DagsterRun("daily", "11111111-2222-4333-8444-555555555555"))
        page.all_logs(run.run_id)
        page.watch_event_logs(run.run_id, None, lambda event, _cursor: told.append(event.dagster_event.message))
        for message in ("first", "second"):
            instance.report_engine_event(message, run)
            deadline = time.monotonic() + 30
            while message not in told:
                assert time.monotonic() < deadline, told
                time.sleep(0.05)
    assert told == ["first", "second"]

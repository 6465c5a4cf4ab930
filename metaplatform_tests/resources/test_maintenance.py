"""Maintenance removes what no version of these days needs, and nothing that a reader or a writer still does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from metaplatform.composition import definitions_of
from metaplatform.execution import deployment_instance
from metaplatform.factories.automation.maintenance import MAINTENANCE, maintenance_schedule
from metaplatform.factories.mount import Mount
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book
from metaplatform_tests.scenario import write_project

AT_ONCE = timedelta(0)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """A table written twice, beside one written once."""
    warehouse = Warehouse(root=str(tmp_path))
    for rows in (4, 2):
        warehouse.replace("raw.t", pa.table({"n": range(rows)}), partition=None, metadata={})
    warehouse.replace("tables.once", pa.table({"n": [1]}), partition="k1", metadata={})
    return warehouse


def maintained(warehouse: Warehouse, *, keep: timedelta) -> dict[str, str]:
    return {ref: str(done) for ref, done in warehouse.maintain_all(keep=keep, now=datetime.now(UTC)).items()}


def files_of(warehouse: Warehouse, ref: str) -> int:
    return len(list(warehouse.path(ref).rglob("*.parquet")))


def test_old_versions_go_once_they_are_old_enough(warehouse: Warehouse):
    assert warehouse.stored() == ("raw.t", "tables.once")
    assert maintained(warehouse, keep=timedelta(days=1)) == {}
    assert maintained(warehouse, keep=AT_ONCE) == {"raw.t": "1 old files removed"}
    assert (files_of(warehouse, "raw.t"), files_of(warehouse, "tables.once")) == (1, 1)
    assert maintained(warehouse, keep=AT_ONCE) == {}
    with warehouse.session() as session:
        assert session.stream(session.table("raw.t")).read_all().num_rows == 2


def test_what_a_session_reads_stays_for_as_long_as_it_is_open(warehouse: Warehouse):
    with warehouse.session() as session:
        before = session.table("raw.t", version=0)
        assert maintained(warehouse, keep=AT_ONCE) == {}
        assert session.stream(before).read_all().num_rows == 4
    assert maintained(warehouse, keep=AT_ONCE) == {"raw.t": "1 old files removed"}


def test_partitions_stay_as_they_are(warehouse: Warehouse):
    before = {ref: warehouse.partitions(ref) for ref in warehouse.stored()}
    warehouse.maintain_all(keep=AT_ONCE, now=datetime.now(UTC))
    assert {ref: warehouse.partitions(ref) for ref in warehouse.stored()} == before


def test_the_job_does_it_each_night(warehouse: Warehouse):
    schedule = maintenance_schedule("Europe/Berlin", 3, 90)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 3 * * *", "Europe/Berlin")
    assert isinstance(schedule.job, dg.JobDefinition)
    done = schedule.job.execute_in_process(resources={"warehouse": warehouse, "clock": Clock()})
    assert done.success
    assert files_of(warehouse, "raw.t") == 2


def test_every_book_has_the_job(tmp_path: Path):
    deployment = Deployment(book=write_project(tmp_path), root=tmp_path / "storage", keep_versions_days=3)
    repository = definitions_of(load_book(deployment.book), deployment).get_repository_def()
    (schedule,) = (each for each in repository.schedule_defs if each.name == MAINTENANCE)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert "3 days" in str(schedule.description)
    assert repository.has_job(MAINTENANCE)


def test_the_job_removes_what_dagster_keeps_of_old_runs_below_its_own_root(tmp_path: Path) -> None:
    deployment = Deployment(book=write_project(tmp_path), root=tmp_path / "storage")
    later = Clock(at=(datetime.now(UTC) + timedelta(days=100)).isoformat())
    job = maintenance_schedule("UTC", 7, 90).job
    assert isinstance(job, dg.JobDefinition)

    def maintain(clock: Clock, instance: dg.DagsterInstance) -> set[str]:
        resources = {"warehouse": Warehouse(root=str(deployment.root)), "clock": clock}
        assert job.execute_in_process(resources=resources, instance=instance).success
        return {run.run_id for run in instance.get_runs()}

    with deployment_instance(deployment) as instance:
        first = maintain(Clock(), instance)
        assert len(maintain(Clock(), instance)) == 2
        assert not first & maintain(later, instance)
    with dg.DagsterInstance.local_temp() as another:
        maintain(Clock(), another)
        assert len(maintain(later, another)) == 2, "a history of somebody else is theirs to shorten"


def test_a_mounted_book_leaves_the_history_to_its_project() -> None:
    job = maintenance_schedule("UTC", 7, 90, Mount(name="shop")).job
    assert isinstance(job, dg.JobDefinition)
    assert [node.name for node in job.nodes] == ["shop__maintain_tables"]


def test_a_deployment_says_how_long_runs_stay(tmp_path: Path) -> None:
    assert Deployment.from_environment({"METAPLATFORM_KEEP_RUNS_DAYS": "365"}, tmp_path).keep_runs_days == 365
    with pytest.raises(ValueError, match="keep_runs_days"):
        # Alerts look back a month for what has made a failed run good.
        Deployment.from_environment({"METAPLATFORM_KEEP_RUNS_DAYS": "7"}, tmp_path)


def test_a_deployment_says_how_long_versions_stay(tmp_path: Path):
    found = Deployment.from_environment({"METAPLATFORM_KEEP_VERSIONS_DAYS": "30"}, tmp_path)
    assert found.keep_versions_days == 30
    with pytest.raises(ValueError, match="keep_versions_days"):
        Deployment.from_environment({"METAPLATFORM_KEEP_VERSIONS_DAYS": "0"}, tmp_path)

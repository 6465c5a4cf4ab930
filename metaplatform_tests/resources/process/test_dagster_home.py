"""The settings are read back from a loaded instance, as the daemon would see them."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.run_coordinator import QueuedRunCoordinator

from metaplatform.errors import StorageError
from metaplatform.resources.process.dagster_home import InstanceSettings, write_dagster_home
from metaplatform.resources.run_launcher import LocalRunLauncher


def test_a_fresh_home_heals_killed_runs_and_stays_silent(tmp_path: Path) -> None:
    home = write_dagster_home(tmp_path / "dagster", InstanceSettings(max_runtime_seconds=77, poll_interval_seconds=3))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert isinstance(instance.run_launcher, LocalRunLauncher)
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_poll_interval_seconds == 3
        assert instance.run_monitoring_max_runtime_seconds == 77
        assert instance.run_monitoring_start_timeout_seconds == 180
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 3
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 2
        assert not instance.run_retries_retry_on_asset_or_op_failure


def test_a_fresh_home_queues_at_once_and_bounds_runs_and_pools(tmp_path: Path) -> None:
    home = write_dagster_home(tmp_path, InstanceSettings(max_concurrent_runs=2, pool_limit=3))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        limits = instance.get_concurrency_config()
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.max_concurrent_runs == 2
        assert limits.run_queue_config.max_user_code_failure_retries == 60, "a run waits while the code server is away"
        assert limits.run_queue_config.user_code_failure_retry_delay == 10
        assert limits.pool_config.default_pool_limit == 3
        assert instance.get_sensor_settings()["use_threads"]
        assert instance.code_server_process_startup_timeout == 180


def test_storage_is_sqlite_below_the_home(tmp_path: Path) -> None:
    home = write_dagster_home(tmp_path)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("touch", ["one"])
        assert Path(instance.storage_directory()).is_relative_to(home)
    assert list(home.rglob("*.db"))


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    write_dagster_home(tmp_path)
    edited = "telemetry: {enabled: false}\n# mine\n"
    (tmp_path / "dagster.yaml").write_text(edited)
    assert write_dagster_home(tmp_path) == tmp_path.resolve()
    assert (tmp_path / "dagster.yaml").read_text() == edited
    assert [path.name for path in tmp_path.iterdir()] == ["dagster.yaml"]


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "60"])
def test_a_setting_that_would_switch_healing_off_is_refused(value: object) -> None:
    with pytest.raises(StorageError, match=r"max_runtime_seconds is .*whole number of at least 1"):
        InstanceSettings(max_runtime_seconds=value)  # type: ignore[arg-type]


def test_a_home_names_the_launcher_where_every_release_has_it(tmp_path: Path) -> None:
    # An existing file is never overwritten: should the module move, no stored home would start a run again.
    settings = (write_dagster_home(tmp_path) / "dagster.yaml").read_text()
    assert "module: metaplatform.resources.run_launcher\n" in settings
    assert LocalRunLauncher.__module__ == "metaplatform.resources.run_launcher"

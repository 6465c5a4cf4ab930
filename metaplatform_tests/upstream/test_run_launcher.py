"""What Dagster does that our run launcher exists for, and what it reads."""

import inspect

import dagster as dg
from dagster._core.storage.tags import GRPC_INFO_TAG, HIDDEN_TAG_PREFIX
from dagster._daemon.monitoring import run_monitoring
from dagster._grpc import impl

from metaplatform.resources import run_launcher


def test_dagsters_own_local_launcher_cannot_tell_a_dead_run() -> None:
    assert not dg.DefaultRunLauncher().supports_check_run_worker_health


def test_the_process_of_a_run_is_known_by_an_event_of_this_text() -> None:
    assert run_launcher._STARTED in inspect.getsource(impl)


def test_the_code_server_of_a_run_is_known_by_this_tag() -> None:
    assert run_launcher._GRPC_TAG == GRPC_INFO_TAG == f"{HIDDEN_TAG_PREFIX}grpc_info"


def test_run_monitoring_fails_a_run_whose_worker_is_not_found() -> None:
    source = inspect.getsource(run_monitoring.monitor_started_run)
    assert "not in [WorkerStatus.RUNNING, WorkerStatus.SUCCESS]" in source

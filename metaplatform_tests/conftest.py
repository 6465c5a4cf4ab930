"""What every test needs before anything else is imported: quiet libraries, no deployment of the developer's."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from metaplatform_tests.libraries import copy_mlflow_tables

_ENVIRONMENT = {
    "DAGSTER_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOG_UV_FILES": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
    # Idle OpenMP threads of one worker would take the cores of the other.
    "OMP_WAIT_POLICY": "passive",
}
_DEPLOYMENTS = (
    "DAGSTER_HOME",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "METAPLATFORM_ROOT",
    "METAPLATFORM_DAGSTER_URL",
)

# As the platform's own processes do: half a million objects stay once the libraries are imported.
gc.set_threshold(50_000)
os.environ.update(_ENVIRONMENT)
for _name in _DEPLOYMENTS:
    os.environ.pop(_name, None)

# Real engines on shared cores: how long an example takes says nothing about the code.
settings.register_profile(
    "metaplatform",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("metaplatform")

LONGEST_FIRST = (
    "test_shared_history_loop.py",
    "test_book_in_a_database.py",
    "examples/test_retail.py",
    "test_live_loop.py",
    "test_benchmarks.py",
    "test_book_in_files.py",
    "factories/test_long_road.py",
    "scaffolding/test_project.py",
    "test_extending_learners.py",
    "replay/test_history.py",
    "factories/test_range_runs.py",
    "test_readme.py",
    "cli/test_starting.py",
    "planning/test_apply.py",
    "test_extending.py",
    "test_extending_sources.py",
    "resources/test_run_launcher.py",
    "replay/test_unpartitioned.py",
    "scaffolding/test_new_model.py",
    "resources/test_concurrent_writes.py",
    "test_component.py",
    "replay/test_any_time.py",
    "specs/test_too_few_rows.py",
    "resources/models/test_model_registry.py",
    "examples/test_churn.py",
    "scaffolding/test_new_source.py",
    "hosting/test_servers.py",
)
"""Files of tests that take a minute or so: begun last, one would keep a single worker busy at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; within a file the order stays."""
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture(autouse=True, scope="module")
def no_instance_of_other_tests() -> Iterator[None]:
    """Dagster keeps the storage of the last instance that was opened in a context, also once it is closed."""
    from dagster._core.storage.defs_state.base import set_defs_state_storage

    with set_defs_state_storage(None):
        yield


@pytest.fixture(autouse=True)
def mlflow_tables_made_once() -> None:
    """Import nothing for it: the first test of a process that needs MLflow does."""
    if "mlflow.store.db.utils" in sys.modules:
        copy_mlflow_tables()

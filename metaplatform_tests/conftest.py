"""What every test needs before anything else is imported: quiet libraries, no deployment of the developer's."""

import os

from hypothesis import HealthCheck, settings

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
_DEPLOYMENTS = ("DAGSTER_HOME", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "METAPLATFORM_ROOT")

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

"""What libraries tell of themselves, kept down; the settings must be in the environment before they are imported."""

import logging
import os

_SETTINGS = {
    # Spinning OpenMP threads make two trainings on shared cores 8 to 10 times slower.
    "OMP_WAIT_POLICY": "passive",
    "DO_NOT_TRACK": "true",
    "DAGSTER_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_ALONE = {
    # Each experiment and table that it makes is a line among what the platform tells.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_LOG_UV_FILES": "false",
}


def quiet_libraries(*, shared: bool = False) -> None:
    """Turn telemetry, chatter, pickle and busy waiting off, unless the environment says otherwise.

    In a process that is ``shared`` with others' code, what MLflow tells and loads is left to them.
    """
    for name, value in (_SETTINGS if shared else _SETTINGS | _ALONE).items():
        os.environ.setdefault(name, value)


def hush_loggers() -> None:
    """Let the libraries at work tell of trouble alone: for commands that show their own progress."""
    for name in ("dagster", "mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)

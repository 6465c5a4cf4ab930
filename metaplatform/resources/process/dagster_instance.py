"""How processes of the platform open a Dagster home: SQLite over kept connections, unless another storage is chosen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster._core.instance.ref import InstanceRef

from metaplatform.resources.process.dagster_home import chooses_storage
from metaplatform.resources.process.run_history import kept_storage


def instance_ref(home: Path, settings: Mapping[str, Any] | None = None) -> InstanceRef:
    """Return what opens the instance, with ``settings`` over those of ``dagster.yaml``.

    The daemon hands it on to the code servers and to the processes of runs.
    """
    kept = {} if chooses_storage(home) else kept_storage(home)
    return InstanceRef.from_dir(str(home), overrides={**(settings or {}), **kept})

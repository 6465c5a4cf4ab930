"""Which kind of Dagster's processes this one is: what is built here is served to people and the loop, or it is not."""

import multiprocessing
import sys
from collections.abc import Mapping, Sequence

_VALIDATION = "DAGSTER_IS_DEFS_VALIDATION_CLI"
"""Set by `dg check defs` and `dagster definitions validate`, also for the code server that they start."""


def is_child() -> bool:
    """Return whether this is a run's process, or a step's: each inherits its starter's environment."""
    return multiprocessing.parent_process() is not None


def serves(environment: Mapping[str, str], arguments: Sequence[str] | None = None) -> bool:
    """Return whether this is a live code server: the process whose definitions the UI shows and the daemon runs.

    ``arguments`` are those that the process was started with, its own by default. False for a run's process, for
    what only validates, and for everything that loads definitions by itself.
    """
    given = list(sys.argv if arguments is None else arguments)
    return given[1:3] == ["api", "grpc"] and not is_child() and not environment.get(_VALIDATION)

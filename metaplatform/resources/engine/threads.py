"""How many threads a run may take: what the deployment says, or else what the machine or the container gives."""

import os
from math import ceil
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MOST_STEPS = 4


def allotted_threads(declared: int, *, cgroup: Path = _CGROUP) -> int:
    """Return ``declared``; if it is 0, the CPUs this process may use, at most those the container is limited to."""
    if declared:
        return declared
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _limit(cgroup)
    return min(usable, max(1, ceil(limit))) if limit else usable


def threads_of_each(declared: int) -> tuple[int, int]:
    """Return how many steps of a run may work at once, four at most, and the threads that each then takes.

    Together they take no more than :func:`allotted_threads`.
    """
    threads = allotted_threads(declared)
    steps = min(_MOST_STEPS, threads)
    return steps, threads // steps


def _limit(cgroup: Path) -> float | None:
    """Return the container's limit in CPUs, by either version of control groups; None where there is none."""
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period"))
        except OSError:
            return None
    try:
        found = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return found if found > 0 else None

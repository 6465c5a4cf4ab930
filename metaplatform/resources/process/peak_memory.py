"""The most memory that this process has held."""

import resource
import sys
from pathlib import Path

_MIB = 2**20


def peak_memory() -> float:
    """Return this process's peak resident memory in MiB.

    Linux keeps it by program (``VmHWM`` of proc(5)); ``ru_maxrss`` of getrusage(2) outlives ``exec``, so a process that
    a bigger one has started would tell its parent's peak. Elsewhere ``ru_maxrss`` is all there is (bytes on macOS).
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (_MIB if sys.platform == "darwin" else 1024)

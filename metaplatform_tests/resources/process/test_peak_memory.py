"""The peak of memory is the process's own."""

import subprocess
import sys

from metaplatform.resources.process.peak_memory import peak_memory

MIB = 2**20


def test_a_child_of_a_big_process_tells_its_own_peak() -> None:
    held = bytearray(300 * MIB)
    assert peak_memory() > 300
    del held
    code = "from metaplatform.resources.process.peak_memory import peak_memory; print(peak_memory())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1 < float(child.stdout) < 200


def test_what_was_freed_counts() -> None:
    held = bytearray(100 * MIB)
    before = peak_memory()
    del held
    assert peak_memory() >= before > 100

"""A book of many entities: how long `metaplatform validate` takes, start to end, and what it needs of memory.

Run ``python -m benchmarks.books 2000``. Each round is the whole command in a process of its own, imports too: what a
person or a check of a pull request waits for. There is nothing to compare it with by hand; ``read`` is the part of it
that reads and checks, and ``start`` the command's start with nothing to do.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.shops import ASSETS, write_book

ROUNDS = 5
READ = """
import json, sys, time
from pathlib import Path
from metaplatform.specs.loading import read_book
started, used = time.perf_counter(), time.process_time()
manifest, issues = read_book(Path(sys.argv[1]))
seconds, cpu = time.perf_counter() - started, time.process_time() - used
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "entities": len(manifest.entities), "issues": len(issues)}))
"""


def timed(command: list[str]) -> dict[str, Any]:
    """Run a command; return its seconds, CPU seconds, peak megabytes and output.

    Raises:
        CalledProcessError: if it fails.
    """
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, env={**os.environ, "DO_NOT_TRACK": "true"})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        output.seek(0)
        text = output.read()
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": round(usage.ru_maxrss / 1024), "output": text}


def validate(entities: int, rounds: int) -> dict[str, Any]:
    """Return the medians of validating a book of so many entities, of reading it alone, and of the bare start."""
    python = [sys.executable, "-m", "metaplatform", "validate"]
    with tempfile.TemporaryDirectory() as name:
        book = Path(name, "book")
        write_book(book, entities // ASSETS)
        whole = [timed([*python, "--book", str(book)]) for _ in range(rounds)]
        start = [timed([*python, "--help"]) for _ in range(rounds)]
        read = [json.loads(timed([sys.executable, "-c", READ, str(book)])["output"]) for _ in range(rounds)]
    if read[0]["issues"]:
        raise AssertionError(f"the book has {read[0]['issues']} issue(s)")
    return {
        "entities": read[0]["entities"],
        "validate": _medians(whole, "seconds", "cpu_seconds", "peak_mb"),
        "start": _medians(start, "seconds", "cpu_seconds", "peak_mb"),
        "read": _medians(read, "seconds", "cpu_seconds"),
    }


def _medians(runs: list[dict[str, Any]], *keys: str) -> dict[str, float]:
    return {key: statistics.median(run[key] for run in runs) for key in keys}


def main(arguments: list[str]) -> None:
    """Measure the numbers of entities given (``--once``: one round)."""
    sizes = [int(argument) for argument in arguments if argument != "--once"] or [2_000]
    rounds = 1 if "--once" in arguments else ROUNDS
    print(json.dumps({str(size): validate(size, rounds) for size in sizes}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])

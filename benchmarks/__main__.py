"""Every benchmark side by side in one table: ``python -m benchmarks [--quick] [--only NAME] [--json FILE]``."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "dagster",
    "duckdb",
    "ibis-framework",
    "xgboost",
    "evidently",
    "mlflow",
    "deltalake",
    "sqlglot",
    "pydantic",
)
HEADINGS = ("what", "ours", "by hand", "ratio", "CPU ratio", "memory", "aim")


@dataclass(frozen=True)
class Row:
    """One line of the table; ``None`` where there is nothing to compare with, or nothing was measured.

    ``ratio`` is ours to by hand, by the clock; ``cpu_ratio`` the same by processor seconds, which a busy
    machine disturbs less. ``memory`` is the peak of our process in megabytes.
    """

    what: str
    ours: str
    by_hand: str | None
    ratio: float | None
    cpu_ratio: float | None
    memory: str
    aim: str = "-"

    def cells(self) -> tuple[str, ...]:
        """Return the line as text."""
        ratios = ("-" if number is None else f"{number:.2f}" for number in (self.ratio, self.cpu_ratio))
        return (self.what, self.ours, self.by_hand or "-", *ratios, self.memory, self.aim)


def definitions(*, quick: bool) -> Iterator[Row]:
    """Yield the loading of definitions by number of assets."""
    for size in ("20",) if quick else ("100", "1000", "2000", "5000"):
        found, _ = measure("definitions", size, *(["--once"] if quick else []))
        one = found[size]
        yield Row(
            what=f"load {int(size):,} assets",
            ours=f"{one['book']['seconds']:.2f} s",
            by_hand=f"{one['hand']['seconds']:.2f} s",
            ratio=one["ratio"],
            cpu_ratio=one["cpu_ratio"],
            memory=f"{one['book']['peak_mb']:.0f} MB (by hand {one['hand']['peak_mb']:.0f})",
            aim=f"1.2 or less (first load ever: {one['first_seconds']:.2f} s)",
        )


def plans(*, quick: bool) -> Iterator[Row]:
    """Yield the planning of a large book over a warehouse: reading the book, then comparing."""
    found, _ = measure("plans", "20" if quick else "2000")
    yield Row(
        what=f"plan {found['entities']:,} entities, {found['work']} to make",
        ours=f"{found['plan_seconds']:.2f} s ({found['plan_cpu_seconds']:.2f} s of CPU)",
        by_hand=None,
        ratio=None,
        cpu_ratio=None,
        memory=f"{found['peak_mb']} MB",
        aim="5 s or less",
    )


def _beside(what: str, found: dict[str, Any]) -> Row:
    """Return the row of a measurement whose two sides ran in a process each."""
    return Row(
        what=what,
        ours=f"{found['book']['seconds']:.2f} s",
        by_hand=f"{found['hand']['seconds']:.2f} s",
        ratio=found["ratio"],
        cpu_ratio=found["cpu_ratio"],
        memory=f"{found['book']['peak_mb']:.0f} MB (by hand {found['hand']['peak_mb']:.0f})",
    )


def features(*, quick: bool) -> Iterator[Row]:
    """Yield the way from raw rows to a training frame."""
    rows = 20_000 if quick else 5_000_000
    found, _ = measure("features", str(rows), "1" if quick else "3")
    if found["rows_that_differ"]:
        raise AssertionError(f"{found['rows_that_differ']} rows differ between the book's features and those by hand")
    yield _beside(f"features, {rows:,} rows", found)


def training(*, quick: bool) -> Iterator[Row]:
    """Yield the training of a model."""
    rows = 5_000 if quick else 1_000_000
    found, peak = measure("training", str(rows))
    yield Row(
        what=f"training, {rows:,} rows",
        ours=f"{found['ours_rows_per_s']:,} rows/s",
        by_hand=f"{found['bare_rows_per_s']:,} rows/s",
        ratio=found["ratio"]["wall"],
        cpu_ratio=found["ratio"]["cpu"],
        memory=f"{peak:.0f} MB (both)",
    )


def scoring(*, quick: bool) -> Iterator[Row]:
    """Yield the scoring of rows: from the engine, and of what is in memory already."""
    rows = 60_000 if quick else 5_000_000
    found, peak = measure("scoring", str(rows))
    for what, ours, by_hand, ratio in (
        ("from the engine", "ours", "fetch_and_predict", "ratio"),
        ("in memory", "in_memory", "predict", "ratio_in_memory"),
    ):
        yield Row(
            what=f"scoring {what}, {rows:,} rows",
            ours=f"{found['rows_per_s'][ours]:,} rows/s",
            by_hand=f"{found['rows_per_s'][by_hand]:,} rows/s",
            ratio=found[ratio]["wall"],
            cpu_ratio=found[ratio]["cpu"],
            memory=f"{peak:.0f} MB (both)",
        )


def drift(*, quick: bool) -> Iterator[Row]:
    """Yield the drift check by number of rows; over many, Evidently is not given the rows themselves."""
    for rows in ("2000",) if quick else ("100000", "5000000"):
        found, _ = measure("drift", rows)
        ours, by_hand = found["digests"][rows], found["rows"].get(rows)
        mine = [ours["digest"][unit] + ours["judge"][unit] for unit in ("seconds", "cpu_seconds")]
        theirs = (
            [by_hand["read"][unit] + by_hand["judge"][unit] for unit in ("seconds", "cpu_seconds")] if by_hand else []
        )
        other = f" (by hand {by_hand['peak_megabytes']})" if by_hand else ""
        yield Row(
            what=f"drift of 20 columns, {int(rows):,} rows",
            ours=f"{mine[0]:.2f} s",
            by_hand=f"{theirs[0]:.2f} s" if theirs else None,
            ratio=mine[0] / theirs[0] if theirs else None,
            cpu_ratio=mine[1] / theirs[1] if theirs else None,
            memory=f"{ours['peak_megabytes']} MB{other}",
        )


def books(*, quick: bool) -> Iterator[Row]:
    """Yield the validation of a whole book, by the command that people and pull requests run."""
    size = "100" if quick else "2000"
    found, _ = measure("books", size, *(["--once"] if quick else []))
    one = found[size]["validate"]
    yield Row(
        what=f"validate {int(size):,} entities",
        ours=f"{one['seconds']:.2f} s",
        by_hand=None,
        ratio=None,
        cpu_ratio=None,
        memory=f"{one['peak_mb']:.0f} MB",
        aim="under 3 s",
    )


def road(*, quick: bool) -> Iterator[Row]:
    """Yield the whole road from raw CSV to predictions."""
    rows = 20_000 if quick else 5_000_000
    found, _ = measure("road", str(rows))
    if found["rows_that_differ"]:
        raise AssertionError(f"{found['rows_that_differ']} rows differ between the book's road and the one by hand")
    yield _beside(f"CSV to predictions, {rows:,} rows", found)


def looks(*, quick: bool) -> Iterator[Row]:
    """Yield the sensors' looks by number of partitions, and of sources and models; and the record of one hour more."""
    seconds: dict[str, float] = {}
    for hours in ("2", "4") if quick else ("10", "1000", "10000"):
        found, _ = measure("looks", "1", hours)
        seconds[hours] = found["one_more"]["records"]
        yield _looks(f"{int(hours):,} hours", found, "under 1 s each")
    few, many = next(iter(seconds)), next(reversed(seconds))
    yield Row(
        what=f"record of one more hour, after {int(many):,}",
        ours=f"{seconds[many] * 1000:.1f} ms",
        by_hand=f"{seconds[few] * 1000:.1f} ms (after {few})",
        ratio=seconds[many] / seconds[few],
        cpu_ratio=None,
        memory="-",
    )
    chains = "3" if quick else "1000"
    found, _ = measure("looks", chains, "2" if quick else "24")
    yield _looks(f"{int(chains):,} sources and models", found, "under 2 s each, flat memory")


def _looks(what: str, found: dict[str, Any], aim: str) -> Row:
    """Return the row of the sensor whose look takes longest."""
    slowest = {part: max(found[part].items(), key=lambda look: look[1]["seconds"]) for part in ("at_rest", "changed")}
    told = [f"{look['seconds']:.2f} s ({name})" for name, look in slowest.values()]
    return Row(
        what=f"slowest look, {what}",
        ours=f"{told[0]}; {told[1]} after a change",
        by_hand=None,
        ratio=None,
        cpu_ratio=None,
        memory=f"{found['peak_mb']} MB (grown {found['grown_mb']} at rest)",
        aim=aim,
    )


def partitions(*, quick: bool) -> Iterator[Row]:
    """Yield the writing and reading of many small partitions, beside few large ones of the same rows."""
    rows = 100_000 if quick else 5_000_000
    found, _ = measure("partitions", str(rows))
    many, one = (found["write"][side] for side in ("hours", "one"))
    yield Row(
        what=f"write {rows:,} rows of 8,784 hours in one commit",
        ours=f"{many['seconds']:.2f} s",
        by_hand=f"{one['seconds']:.2f} s (as one)",
        ratio=many["seconds"] / one["seconds"],
        cpu_ratio=many["cpu_seconds"] / one["cpu_seconds"],
        memory=f"{many['peak_mb']:.0f} MB (as one {one['peak_mb']:.0f})",
        aim="2 or less",
    )
    for what, readers in found["read"].items():
        for reader, times in readers.items():
            yield Row(
                what=f"read {what} of 10,000 partitions, {reader}",
                ours=f"{times['many']:.3f} s",
                by_hand=f"{times['few']:.3f} s (of 10)",
                ratio=times["ratio"],
                cpu_ratio=None,
                memory="-",
                aim="1.3 or less",
            )


def history(*, quick: bool) -> Iterator[Row]:
    """Yield the first load of a year by the hour, and one hour more, beside the same rows without partitions."""
    hours, rows = (24, 5_000) if quick else (8_784, 5_000_000)
    found, _ = measure("history", str(hours), str(rows))
    for what, part, against, aim in (
        (f"{rows:,} rows of {hours:,} hours, file to features", "year", "whole", "2 or less, under 180 s and 2 GB"),
        (f"one more hour, after {hours:,}", "hour", "ten", "1.2 or less"),
    ):
        ours, other = found["hours"][part], found[against][part]
        yield Row(
            what=what,
            ours=f"{ours['seconds']:.1f} s",
            by_hand=f"{other['seconds']:.1f} s ({'as one' if against == 'whole' else 'after 10'})",
            ratio=ours["seconds"] / other["seconds"],
            cpu_ratio=ours["cpu_seconds"] / other["cpu_seconds"],
            memory=f"{ours['peak_mb']:.0f} MB ({other['peak_mb']:.0f})",
            aim=aim,
        )


def databases(*, quick: bool) -> Iterator[Row]:
    """Yield the way from a table of PostgreSQL to a raw table."""
    rows = 10_000 if quick else 1_000_000
    found, _ = measure("databases", str(rows))
    yield replace(_beside(f"PostgreSQL to a raw table, {rows:,} rows of 12 columns", found), aim="1.3 or less")


PARTS: dict[str, Callable[..., Iterator[Row]]] = {
    "definitions": definitions,
    "books": books,
    "plans": plans,
    "features": features,
    "training": training,
    "scoring": scoring,
    "drift": drift,
    "road": road,
    "looks": looks,
    "partitions": partitions,
    "history": history,
    "databases": databases,
}


def measure(module: str, *arguments: str) -> tuple[dict[str, Any], float]:
    """Run ``benchmarks.<module>`` in a process of its own; return what it found, and its peak megabytes.

    Raises:
        CalledProcessError: if it fails; what it said went to standard error.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "DO_NOT_TRACK": "true"}
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        output.seek(0)
        found: dict[str, Any] = json.load(output)
    return found, usage.ru_maxrss / 1024


def machine() -> dict[str, str]:
    """Return the facts of the machine that the numbers depend on."""
    facts = (
        _proc("/proc/cpuinfo", "model name"),
        _proc("/proc/meminfo", "MemTotal"),
        _proc("/proc/meminfo", "MemAvailable"),
    )
    return {
        "cores": str(os.cpu_count()),
        "processor": facts[0] or platform.processor(),
        "memory": f"{facts[1]}, available {facts[2]}",
        "load average": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
        "system": platform.platform(),
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)]
        ),
    }


def _proc(path: str, field: str) -> str:
    """Return a field of a file that the kernel shows, empty where there is none."""
    file = Path(path)
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")


def table(rows: list[Row]) -> str:
    """Return the rows below their headings, in columns."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks, print the machine and the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: it runs, and says little of speed")
    parser.add_argument("--only", choices=list(PARTS), action="append", metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and rows there as well")
    options = parser.parse_args(arguments)
    facts = machine()
    for name, fact in facts.items():
        print(f"{name:13} {fact}")
    rows: list[Row] = []
    for part in options.only or PARTS:
        print(f"measuring {part} ...", file=sys.stderr, flush=True)
        rows.extend(PARTS[part](quick=options.quick))
    print(f"\n{table(rows)}")
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")


if __name__ == "__main__":
    main()

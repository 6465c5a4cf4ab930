"""Many small partitions against few large ones of the same rows: writing them in one commit, and reading them.

Run ``python -m benchmarks.partitions 5000000``. A year by the hour (8,784 partitions) is written in one commit, and the
same rows as one partition, each in a process of its own. Then 10,000 partitions are read beside 10: all rows, those of
one partition, and those of thirty days of 24, by the platform's engine and by readers from outside.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.compute as pc
from deltalake import DeltaTable

from metaplatform.naming import PARTITION
from metaplatform.resources.process.peak_memory import peak_memory
from metaplatform.resources.storage.warehouse import Warehouse

ROWS = """
select i as id, 'C' || hash(i) % 1000 as customer, make_timestamptz(1640995200000000 + i * 1000000) as ordered_at,
       (hash(i) % 10000)::double / 100 as amount, (hash(i * 3) % 300)::integer as minutes,
       printf('%05d', i * {partitions} // {rows}) as _partition
from range({rows}) as numbers(i)
"""
HOURS, MANY, FEW = 8_784, 10_000, 10
SPAN = 720
"""Partitions of thirty days by the hour."""
ROUNDS = 7
REF = "raw.t"

Span = tuple[str, Any, Any]
"""A column, and the least and greatest value that is asked for."""


def key(number: int) -> str:
    """Return the key of a partition by its number."""
    return f"{number:05}"


def write(folder: Path, rows: int, partitions: int) -> dict[str, float]:
    """Write the rows in one commit; return seconds, processor seconds and the peak megabytes of the process."""
    keys = [key(number) for number in range(partitions)]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2")
        data = connection.sql(ROWS.format(rows=rows, partitions=partitions)).to_arrow_reader(100_000)
        started, used = time.perf_counter(), time.process_time()
        written = Warehouse(root=str(folder)).replace_partitions(REF, data, partitions=keys, metadata={})
    if len(written.by_partition) != partitions or written.rows != rows:
        raise AssertionError(f"{written.rows} rows of {len(written.by_partition)} partitions are written")
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - used,
        "peak_mb": peak_memory(),
    }


def ours(folder: Path, span: Span | None) -> float:
    """Return the sum of a column by the platform's engine."""
    with Warehouse(root=str(folder)).session() as session:
        table = session.table(REF)
        kept = table.filter(table[span[0]].between(*span[1:])) if span else table
        total = session.stream(kept.aggregate(amount=kept["amount"].sum())).read_all()
    return float(total["amount"][0].as_py())


def by_polars(folder: Path, span: Span | None) -> float:
    """Return the sum of a column by Polars."""
    rows = pl.scan_delta(str(Warehouse(root=str(folder)).path(REF)))
    kept = rows.filter(pl.col(span[0]).is_between(*map(pl.lit, span[1:]))) if span else rows
    return float(kept.select(pl.col("amount").sum()).collect().item())


def by_delta_rs(folder: Path, span: Span | None) -> float:
    """Return the sum of a column by delta-rs."""
    dataset = DeltaTable(Warehouse(root=str(folder)).path(REF).as_uri()).to_pyarrow_dataset()
    kept = (pc.field(span[0]) >= span[1]) & (pc.field(span[0]) <= span[2]) if span else None
    return float(pc.sum(dataset.to_table(columns=["amount"], filter=kept)["amount"]).as_py())


READERS: Mapping[str, Callable[[Path, Span | None], float]] = {
    "ours": ours,
    "Polars": by_polars,
    "delta-rs": by_delta_rs,
}


def read(many: Path, few: Path, rows: int) -> dict[str, dict[str, dict[str, float]]]:
    """Read the same rows of both tables in turns; return medians by what is read and by reader, and that of the ratios.

    Those of one partition of the many are asked of the few by their numbers.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for what, partitions in (("all", 0), ("one partition", 1), ("thirty days", SPAN)):
        first, last = MANY // 2, MANY // 2 + partitions
        of_many: Span = (PARTITION, key(first), key(last - 1))
        of_few: Span = ("id", first * rows // MANY, last * rows // MANY - 1)
        asked = ((many, of_many if partitions else None), (few, of_few if partitions else None))
        for name, reader in READERS.items():
            pairs = [[_timed(reader, *side) for side in asked] for _ in range(ROUNDS)]
            if any(abs(mine[1] - theirs[1]) > 1e-6 * theirs[1] for mine, theirs in pairs):
                raise AssertionError(f"{name} reads other rows of the many than of the few")
            seconds = [(mine[0], theirs[0]) for mine, theirs in pairs]
            mine, theirs = (statistics.median(side) for side in zip(*seconds, strict=True))
            ratio = statistics.median(one / other for one, other in seconds)
            found.setdefault(what, {})[name] = {"many": mine, "few": theirs, "ratio": ratio}
    return found


def _timed(reader: Callable[[Path, Span | None], float], folder: Path, span: Span | None) -> tuple[float, float]:
    started = time.perf_counter()
    total = reader(folder, span)
    return time.perf_counter() - started, total


def main(arguments: list[str]) -> None:
    """Measure tables of so many rows; or one write, of ROWS in PARTITIONS to FOLDER (``write ...``)."""
    if arguments[:1] == ["write"]:
        print(json.dumps(write(Path(arguments[1]), int(arguments[2]), int(arguments[3]))))
        return
    rows = int(arguments[0]) if arguments else 5_000_000
    with tempfile.TemporaryDirectory() as name:
        written: dict[str, list[dict[str, float]]] = {"hours": [], "one": []}
        for turn in range(3):
            for side, partitions in (("hours", HOURS), ("one", 1)):
                written[side].append(_apart("write", str(Path(name, f"{side}-{turn}")), str(rows), str(partitions)))
        for folder, partitions in (("many", MANY), ("few", FEW)):
            _apart("write", str(Path(name, folder)), str(rows), str(partitions))
        found: dict[str, Any] = {"read": read(Path(name, "many"), Path(name, "few"), rows)}
    found["write"] = {
        side: {field: statistics.median(turn[field] for turn in turns) for field in turns[0]}
        for side, turns in written.items()
    }
    print(json.dumps(found, indent=2))


def _apart(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.partitions", *arguments]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])

"""History in bulk: a year by the hour from a CSV file to features, beside the same rows without partitions.

Run ``python -m benchmarks.history 8784 5000000``. Each side is a project of its own, in a process of its own, whose
loop is asked once, at the end of the year. One more hour of rows is let in behind a year and behind ten hours. The
features are held against DuckDB's answer over the file itself.
"""

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from metaplatform.composition import definitions_of
from metaplatform.execution import deployment_instance
from metaplatform.replay.conductor import Conductor
from metaplatform.resources.process.peak_memory import peak_memory
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book

BOOK = """
spec_version: 2
sources:
  rides:
    kind: csv
    path: data/*.csv
    key: [ride_id]
    event_timestamp: at
{partitions}
    columns: {{ride_id: bigint, at: timestamptz, bike: bigint, km: double}}
feature_sets:
  bikes:
    spine: raw.rides
    features:
      - {{kind: expression, columns: {{far: km > 3}}}}
      - {{kind: window, table: raw.rides, on: {{bike: bike}}, window: 7 days, columns: {{rides_7d: count(*)}}}}
"""
PARTITIONS = "    partitions: {every: hour, start: 2024-01-01T00}"
START = datetime(2024, 1, 1, tzinfo=UTC)
ROWS = """
copy (
  select i + {first} as ride_id,
         make_timestamptz({start} + (i * {hours} * 3600000000::hugeint // {rows})::bigint) as "at",
         hash(i + {first}) % 20000 as bike, (hash(i * 3) % 10000)::double / 1000 as km
  from range({rows}) as numbers(i)
) to '{path}' (header)
"""
BY_HAND = """
select count(*), sum(rides) from (
  select count(*) over (
    partition by bike order by "at" range between interval 7 days preceding and interval 1 microsecond preceding
  ) as rides from read_csv('{path}')
)
"""


def rows_of(path: Path, rows: int, hours: int, *, since: int = 0, first: int = 0) -> None:
    """Write a CSV file of rows that are spread evenly over so many hours after the first ``since``."""
    start = int((START + timedelta(hours=since)).timestamp()) * 1_000_000
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(ROWS.format(first=first, start=start, hours=hours, rows=rows, path=path))


def live(folder: Path, hours: int, rows: int, kind: str) -> dict[str, Any]:
    """Let a year arrive, and then one more hour; return what each took, and a sum of the features."""
    (folder / "metadata").mkdir(parents=True)
    (folder / "data").mkdir()
    book = BOOK.format(partitions=PARTITIONS if kind == "hours" else "")
    (folder / "metadata" / "book.yaml").write_text(book, encoding="utf-8")
    rows_of(folder / "data" / "year.csv", rows, hours)
    deployment = Deployment(book=folder / "metadata", root=folder / "storage")
    definitions = definitions_of(load_book(deployment.book), deployment.in_process)
    found: dict[str, Any] = {}
    with deployment_instance(deployment) as instance:
        conductor = Conductor(definitions, instance, lambda _: None)
        found["year"] = _timed(conductor, START + timedelta(hours=hours)) | {"runs": conductor.runs}
        rows_of(folder / "data" / "hour.csv", max(rows // hours, 1), 1, since=hours, first=rows)
        found["hour"] = _timed(conductor, START + timedelta(hours=hours + 1))
    with Warehouse(root=str(deployment.root)).session() as session:
        made = session.table("features.bikes")
        made = made.filter(made["ride_id"] < rows)
        sums = session.stream(made.aggregate(rows=made.count(), rides=made["rides_7d"].sum())).read_all()
    return found | {"sums": sums.to_pylist()[0]}


def _timed(conductor: Conductor, now: datetime) -> dict[str, float]:
    started, used = time.perf_counter(), time.process_time()
    conductor.play(now)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - used,
        "peak_mb": peak_memory(),
    }


def by_hand(path: Path) -> dict[str, int]:
    """Return the same sums by DuckDB, of the file."""
    with duckdb.connect() as connection:
        found = connection.execute(BY_HAND.format(path=path)).fetchone() or (0, 0)
    return {"rows": found[0], "rides": found[1]}


def main(arguments: list[str]) -> None:
    """Measure so many hours of so many rows; or live one side, in FOLDER (``live ...``)."""
    if arguments[:1] == ["live"]:
        folder, hours, rows, kind = arguments[1:]
        print(json.dumps(live(Path(folder), int(hours), int(rows), kind)))
        return
    hours, rows = (int(each) for each in arguments) if arguments else (8_784, 5_000_000)
    with tempfile.TemporaryDirectory() as name:
        few = max(rows * 10 // hours, 10)
        sides = {
            "hours": _apart(Path(name, "hours"), hours, rows, "hours"),
            "whole": _apart(Path(name, "whole"), hours, rows, "whole"),
            "ten": _apart(Path(name, "ten"), 10, few, "hours"),
        }
        answer = by_hand(Path(name, "hours", "data", "year.csv"))
    if not sides["hours"]["sums"] == sides["whole"]["sums"] == answer:
        raise AssertionError(f"features of {sides['hours']['sums']}, {sides['whole']['sums']}, by hand {answer}")
    print(json.dumps(sides, indent=2))


def _apart(folder: Path, hours: int, rows: int, kind: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.history", "live", str(folder), str(hours), str(rows), kind]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main(sys.argv[1:])

"""Planning a large book: against the book as it was, and over a warehouse that was made from it.

Run ``python -m benchmarks.plans 2000``. Book and records are written first; then one process reads the book, edits one
entity of each shop's chain in a fraction of the shops, and plans.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.shops import ASSETS, write_book
from metaplatform.chapters import chapter_of
from metaplatform.planning.state import plan_of
from metaplatform.resources.process.peak_memory import peak_memory
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.builds import BuiltPartition
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.outputs import FileOutput
from metaplatform.specs.loading import load_book
from metaplatform.specs.snapshots import entity_fields, snapshot_of

MONTHS = tuple(f"{year}-{month:02}" for year in (2022, 2023) for month in range(1, 13))
EDITED = 20
"""One shop in so many has another window of its features, and what follows from it."""


def write_records(manifest: Manifest, root: Path) -> None:
    """Write what a warehouse keeps when all of the book was made, two years of months each.

    Tables are there as folders with an empty log, outputs as empty files: that they are there is looked up, and rows of
    stale ones.
    """
    records, warehouse = BuildRecords(root), Warehouse(root=str(root))
    for ref, entity in manifest.entities.items():
        if chapter_of(ref).action is None:
            continue
        (warehouse.path(ref) / "_delta_log").mkdir(parents=True)
        made = BuiltPartition(manifest.spec_hash(ref), dict(manifest.lineage.inputs(ref)), 1.5, "run")
        keys = MONTHS if manifest.partitions(ref) else ("",)
        records.keep(ref, entity_fields(entity), dict.fromkeys(keys, made))
        for key in keys:
            if isinstance(entity, FileOutput):
                file = root / "exports" / entity.name / f"{key or 'all'}.{entity.kind}"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
    (root / "mlflow.db").touch()
    records.apply(manifest.identity, lambda: snapshot_of(manifest))


def measure(folder: Path) -> dict[str, Any]:
    """Read the edited book and plan; return seconds of each, what is found, and peak megabytes."""
    started = time.perf_counter()
    manifest = load_book(folder / "book")
    read, used = time.perf_counter(), time.process_time()
    plan = plan_of(manifest, Deployment(book=folder / "book", root=folder / "root"))
    ended = time.perf_counter()
    return {
        "entities": len(manifest.entities),
        "work": len(plan.work),
        "load_seconds": read - started,
        "plan_seconds": ended - read,
        "plan_cpu_seconds": time.process_time() - used,
        "seconds": ended - started,
        "peak_mb": round(peak_memory()),
    }


def main(arguments: list[str]) -> None:
    """Write a book of so many entities and its records; or measure the FOLDER that holds them (``in FOLDER``)."""
    import subprocess

    if arguments[:1] == ["in"]:
        print(json.dumps(measure(Path(arguments[1]))))
        return
    shops = int(arguments[0] if arguments else 2_000) // ASSETS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_book(folder / "book", shops)
        write_records(load_book(folder / "book"), folder / "root")
        for shop in range(0, shops, EDITED):
            file = folder / "book" / f"shop_{shop}.yaml"
            file.write_text(file.read_text().replace("window: 7 days", "window: 8 days"))
        command = [sys.executable, "-m", "benchmarks.plans", "in", str(folder)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    edited = len(range(0, shops, EDITED))
    if found["work"] != edited * 4:
        raise AssertionError(f"{found['work']} to make, of {edited} edited shops of four each")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])

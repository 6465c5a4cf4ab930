"""What the loop's sensors cost at rest and after a change, and the record of one more partition, by what there is.

Run ``python -m benchmarks.looks CHAINS HOURS``. A storage root is written as runs would have left it; then one process
asks each sensor: first as it starts, then with nothing changed, then when records of some chains have changed.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from benchmarks.looked_at import START, LookedAt, hours
from metaplatform.composition import definitions_of
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.process.peak_memory import peak_memory
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.specs.records.ledger import Arrival
from metaplatform.specs.snapshots import entity_fields
from metaplatform.work.builds import contents_read, inputs_of

CHANGED = 20
"""One chain in so many has arrived once more between two looks, and its features not followed yet."""
RECORDS_KEPT, ROUNDS = 20, 5


class Looks:
    """The sensors of a project, asked as the daemon does at one moment."""

    def __init__(self, project: LookedAt, now: str) -> None:
        """Make definitions and an instance."""
        self._definitions = definitions_of(project.manifest, project.deployment)
        self._repository = self._definitions.get_repository_def()
        # As a code server does: Dagster makes its own job of all assets then.
        self._repository.load_all_definitions()
        self._instance = dg.DagsterInstance.ephemeral()
        self._now = now

    def ask(self) -> dict[str, dict[str, float]]:
        """Ask each sensor once; return its seconds, and how many runs it asks for."""
        given: dict[str, Any] = {**(self._definitions.resources or {}), "clock": Clock(at=self._now)}
        found = {}
        for sensor in self._repository.sensor_defs:
            resources = {name: given[name] for name in sensor.required_resource_keys}
            context = dg.build_sensor_context(
                instance=self._instance, repository_def=self._repository, resources=resources
            )
            began, used = time.perf_counter(), time.process_time()
            asked = sensor.evaluate_tick(context)
            found[sensor.name] = {
                "seconds": round(time.perf_counter() - began, 3),
                "cpu": round(time.process_time() - used, 3),
                "runs": len(asked.run_requests or ()),
            }
        return found


def changed(project: LookedAt, keys: list[str]) -> None:
    """Let every twentieth source have arrived once more, with other rows of its newest hour."""
    names = list(project.manifest.sources)[::CHANGED]
    arrivals: list[Arrival] = []
    for name in names:
        ref = f"raw.{name}"
        records = BuildRecords(project.root)
        before = records.read(ref)
        assert before is not None
        again = replace(before.partitions[keys[-1]], content="other", run_id="r2")
        records.keep(ref, before.fields, {keys[-1]: again})
        arrivals.append(Arrival(f"again-{name}", name, keys[-1], "as before", 1, 0, START, "r2"))
    Ledger(project.warehouse).append(*arrivals)


def one_more(project: LookedAt, keys: list[str]) -> dict[str, float]:
    """Return the seconds that it takes to keep the record of one more hour of the features, and its arrival."""
    from metaplatform.work.steps import Step

    ref = next(f"features.{name}" for name in project.manifest.feature_sets)
    fields = entity_fields(project.manifest.entities[ref])
    given: Any = None
    spent: dict[str, list[float]] = {"records": [], "arrival": []}
    for number in range(RECORDS_KEPT):
        key = hours(len(keys) + number + 1)[-1]
        step = Step(project.manifest, ref, "r", key, START, project.warehouse, project.registry, given, given)
        records = BuildRecords(project.root)

        def keep(step: Step = step, records: BuildRecords = records, key: str = key) -> None:
            inputs_of(step, records)
            contents_read(step, records)
            made = records.read(ref)
            assert made is not None
            records.keep(ref, fields, {key: replace(made.partitions[keys[0]], run_id=key)})

        def arrive(key: str = key, number: int = number) -> None:
            name = next(iter(project.manifest.sources))
            Ledger(project.warehouse).append(Arrival(f"more-{number}", name, key, "f", 1, 0, START, "r"))

        spent["records"].append(seconds(keep))
        spent["arrival"].append(seconds(arrive))
    return {name: sorted(times)[len(times) // 2] for name, times in spent.items()}


def seconds(work: Callable[[], None]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def resident() -> int:
    """Return the megabytes that this process holds."""
    return round(psutil.Process().memory_info().rss / 2**20)


def measure(folder: Path, partitions: int) -> dict[str, Any]:
    """Ask the sensors of the project in ``folder``; return what each took."""
    project, keys = LookedAt(folder), hours(partitions)
    looks = Looks(project, hours(partitions + 1)[-1] + ":00:00+00:00")
    first, _ = looks.ask(), looks.ask()
    held = resident()
    rest = [looks.ask() for _ in range(ROUNDS)]
    grown = resident() - held
    changed(project, keys)
    return {
        "first": first,
        "at_rest": {name: min((asked[name] for asked in rest), key=lambda each: each["seconds"]) for name in first},
        "changed": looks.ask(),
        "one_more": one_more(project, keys),
        "grown_mb": grown,
        "peak_mb": round(peak_memory()),
    }


def main(arguments: list[str]) -> None:
    """Write a project of so many chains and hours and measure it in a process of its own."""
    if arguments[:1] == ["in"]:
        print(json.dumps(measure(Path(arguments[1]), int(arguments[2]))))
        return
    chains, partitions = (int(number) for number in arguments)
    with tempfile.TemporaryDirectory() as name:
        LookedAt.write(Path(name) / "project", chains=chains, partitions=partitions)
        command = [sys.executable, "-m", "benchmarks.looks", "in", str(Path(name) / "project"), str(partitions)]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])

"""The drift check of 20 columns: digests made in the engine and judged by Evidently, against Evidently on the rows.

Run ``python benchmarks/drift.py 100000 5000000``. Each side runs in a process of its own over a Parquet file; the
reference has 100,000 rows. Importing Evidently is timed apart: it is the same for both and for any size.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import ibis

from metaplatform.compute.digest import Digest, digest
from metaplatform.compute.drift import detect_drift
from metaplatform.resources.process.peak_memory import peak_memory
from metaplatform.specs.entities.monitoring import DriftMonitor

THREADS = 2
REFERENCE_ROWS = 100_000
PLAIN_ROWS = 100_000
"""Rows up to which Evidently is also given the rows themselves: over them it takes minutes and gigabytes."""
MONITOR = DriftMonitor(name="benchmark", kind="drift", prediction="benchmark")
NUMBERS = [f"n{i}" for i in range(13)]
CATEGORIES = [f"c{i}" for i in range(6)]
SCORE = "score"
_NORMAL = "sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())"
_SHAPES = (
    _NORMAL,
    f"exp({_NORMAL})",
    "random()",
    "floor(random() * 24)",
    "case when random() < 0.9 then 0 else random() end",
)


def make_table(path: Path, rows: int, *, seed: float) -> None:
    """Write ``rows`` rows of 13 numbers, 6 categories (5 to 2,000 levels) and a score; all draws are independent."""
    numbers = [f"{_SHAPES[i % len(_SHAPES)]} as {name}" for i, name in enumerate(NUMBERS)]
    levels = [5, 20, 50, 200, 500, 2_000]
    texts = [f"'L' || floor({n} * random() ** 2)::int as {c}" for n, c in zip(levels, CATEGORIES, strict=True)]
    columns = ", ".join([*numbers, *texts, f"random() as {SCORE}"])
    with duckdb.connect() as connection:
        # One thread and a seed, so that every run has the same rows.
        connection.execute(f"set threads = 1; select setseed({seed})")
        connection.execute(f"copy (select {columns} from range({rows})) to '{path}'")


def digest_table(path: str, threads: int = THREADS) -> Digest:
    """Return the digest of a Parquet file."""
    connection = ibis.duckdb.connect()
    connection.raw_sql(f"set threads = {threads}")
    return digest(connection.read_parquet(path))


def judge_digests(folder: str, rows: int) -> dict[str, Any]:
    """Digest the current rows and let Evidently judge digests."""
    reference = Digest.from_json(Path(folder, "reference.json").read_text())
    current, scan = _timed(lambda: digest_table(f"{folder}/{rows}.parquet"))
    load = _import_evidently()
    result, judging = _timed(
        lambda: detect_drift(reference, current, MONITOR, score_column=SCORE, metadata={"rows": str(rows)})
    )
    return {
        "digest": scan,
        "import": load,
        "judge": judging,
        "html_megabytes": round(len(result.html) / 1e6, 1),
        "verdict": result.data_drift,
        "scores": {column.column: column.score for column in (*result.columns, result.score)},
    }


def judge_rows(folder: str, rows: int) -> dict[str, Any]:
    """Give Evidently the rows themselves, by the same methods."""
    frames, reading = _timed(
        lambda: [duckdb.read_parquet(f"{folder}/{name}.parquet").df() for name in (rows, "reference")]
    )
    load = _import_evidently()
    scores, judging = _timed(lambda: _evidently_scores(*frames))
    return {
        "read": reading,
        "import": load,
        "judge": judging,
        "scores": scores,
    }


def _evidently_scores(current: Any, reference: Any) -> dict[str, float]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    numbers = [*NUMBERS, SCORE]
    definition = DataDefinition(
        numerical_columns=numbers,
        categorical_columns=CATEGORIES,
        text_columns=[],
        datetime_columns=[],
        unknown_columns=[],
        list_columns=[],
    )
    metrics: list[Any] = [ValueDrift(column=name, method="wasserstein", threshold=0.1) for name in numbers]
    metrics += [ValueDrift(column=name, method="jensenshannon", threshold=0.1) for name in CATEGORIES]
    datasets = [Dataset.from_pandas(frame, definition) for frame in (current, reference)]
    snapshot = Report(metrics, include_tests=True).run(current_data=datasets[0], reference_data=datasets[1])
    assert snapshot.get_html_str(as_iframe=False)
    return {metric["config"]["column"]: float(metric["value"]) for metric in snapshot.dict()["metrics"]}


def _import_evidently() -> dict[str, float]:
    def load() -> None:
        import evidently.metrics

        assert evidently.metrics

    return _timed(load)[1]


def _timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    started, used = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    return result, {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2)}


def _in_own_process(side: str, folder: str, rows: int) -> dict[str, Any]:
    environment = {**os.environ, "DO_NOT_TRACK": "true", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, __file__, side, folder, str(rows)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(rows_list: tuple[int, ...] = (100_000, 5_000_000)) -> dict[str, Any]:
    """Return seconds and peak megabytes of each side by row count, and how far their scores differ.

    On a busy machine compare CPU seconds, which leave out what others took.
    """
    results: dict[str, Any] = {"digests": {}, "rows": {}}
    with tempfile.TemporaryDirectory() as folder:
        make_table(Path(folder, "reference.parquet"), REFERENCE_ROWS, seed=0.1)
        Path(folder, "reference.json").write_text(digest_table(f"{folder}/reference.parquet").to_json())
        for rows in rows_list:
            make_table(Path(folder, f"{rows}.parquet"), rows, seed=0.2)
            by_digest = _in_own_process("digests", folder, rows)
            by_rows = _in_own_process("rows", folder, rows) if rows <= PLAIN_ROWS else {}
            scores, plain = by_digest.pop("scores"), by_rows.pop("scores", {})
            # Categories differ by intent: levels too rare for a verdict are pooled.
            by_digest["numeric_scores_off_by"] = max(
                (abs(scores[n] - plain[n]) for n in NUMBERS if plain), default=None
            )
            results["digests"][rows] = by_digest
            if by_rows:
                results["rows"][rows] = by_rows
    return results


def main(arguments: list[str]) -> None:
    """Run one side (``digests | rows FOLDER ROWS``), or all for the row counts given."""
    sides = {"digests": judge_digests, "rows": judge_rows}
    if arguments and arguments[0] in sides:
        result = sides[arguments[0]](arguments[1], int(arguments[2]))
        result["peak_megabytes"] = round(peak_memory())
        print(json.dumps(result))
    else:
        print(json.dumps(run(tuple(map(int, arguments)) or (100_000, 5_000_000)), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Scoring side by side: our stream of scored batches, against ``inplace_predict`` on one ready matrix."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import datetime as dt
import json
import sys
from typing import Any

import numpy as np

from benchmarks.model_data import FEATURES, KEPT_CATEGORIES, alternate, engine_with_rows, fetch_matrix, reader_of
from benchmarks.training import SPEC, THREADS
from metaplatform.compute.encoding import encode, encoding_query, fit
from metaplatform.compute.inference import Scorer, score
from metaplatform.compute.training import in_order, train

LEARNT = 50_000
NOW = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def scorer_of(backend: Any) -> Scorer:
    """Train a model on some of the rows."""
    rows = backend.table("raw_rows").limit(LEARNT)
    counts = backend.to_pyarrow(encoding_query(rows, FEATURES, max_categories=KEPT_CATEGORIES))
    encoding = fit(rows.schema(), FEATURES, counts)
    encoded = encode(rows, encoding, keep=["id", "label"])
    batches = backend.to_pyarrow(in_order(encoded, encoding, order=["id"])).to_batches()
    model = train(batches, batches, SPEC, feature_types=encoding.feature_types, seed=0, threads=THREADS)
    return Scorer("benchmark", 1, "binary", model.booster, encoding)


def consume(backend: Any, expression: Any, scorer: Scorer) -> float:
    """Score an encoded expression and read every batch."""
    reader = score(reader_of(backend, expression), scorer, run_id="run", scored_at=NOW, threads=THREADS)
    return sum(float(batch.column("probability")[0].as_py()) for batch in reader)


def run(rows: int) -> dict[str, object]:
    """Return rows a second and ratios (lower is better).

    ``ratio_in_memory`` compares batches with a matrix that is both in memory; ``ratio`` starts both from the
    encoded table in the engine; ``ratio_raw`` has ours encode raw rows besides.
    """
    import xgboost

    with engine_with_rows(rows) as backend:
        scorer = scorer_of(backend)
        raw = encode(backend.table("raw_rows"), scorer.encoding, keep=["id", "label"])
        backend.create_table("ready", backend.to_pyarrow(raw.order_by("id")))
        ready = backend.table("ready")
        booster = xgboost.Booster({"nthread": THREADS}, model_file=bytearray(scorer.booster))
        matrix, _ = fetch_matrix(backend, "ready")
        held = backend.to_pyarrow(ready)

        def in_memory() -> None:
            for _ in score(held.to_reader(100_000), scorer, run_id="run", scored_at=NOW, threads=THREADS):
                pass

        cost = alternate(
            {
                "predict": lambda: booster.inplace_predict(matrix),
                "fetch_and_predict": lambda: booster.inplace_predict(fetch_matrix(backend, "ready")[0]),
                "in_memory": in_memory,
                "ours": lambda: consume(backend, ready, scorer),
                "ours_raw": lambda: consume(backend, raw, scorer),
            },
            rounds=4,
        )
        found = np.concatenate(
            [
                batch.column("probability").to_numpy()
                for batch in score(held.to_reader(100_000), scorer, run_id="run", scored_at=NOW, threads=THREADS)
            ]
        )
        assert np.array_equal(found, booster.inplace_predict(matrix).astype(np.float64))
    return {
        "rows": rows,
        "rows_per_s": {way: round(rows / spent.wall) for way, spent in cost.items()},
        "ratio_in_memory": cost["in_memory"].ratio(cost["predict"]),
        "ratio": cost["ours"].ratio(cost["fetch_and_predict"]),
        "ratio_raw": cost["ours_raw"].ratio(cost["fetch_and_predict"]),
        "ratio_to_predict_alone": cost["ours"].ratio(cost["predict"]),
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)))

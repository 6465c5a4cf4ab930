"""Training side by side: our encode → batches → train, against XGBoost by hand on a matrix that is ready."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import json
import sys
from typing import Any

from benchmarks.model_data import (
    CATEGORIES,
    FEATURES,
    KEPT_CATEGORIES,
    NUMBERS,
    alternate,
    engine_with_rows,
    fetch_matrix,
    reader_of,
)
from metaplatform.compute.encoding import encode, encoding_query, fit
from metaplatform.compute.training import in_order, train
from metaplatform.specs.entities.training import ModelSpec, PromotionSpec, TargetSpec, TrainingSpec
from metaplatform.specs.fields.duration import Duration

ROUNDS = 100
THREADS = 2
PARAMETERS: dict[str, bool | int | float | str] = {"max_depth": 6, "eta": 0.1}
TYPES = ["q"] * len(NUMBERS) + ["c"] * len(CATEGORIES)
SPEC = ModelSpec(
    name="benchmark",
    kind="xgboost",
    task="binary",
    feature_set="rows",
    target=TargetSpec(sql="label"),
    training=TrainingSpec(
        window=Duration(months=1),
        holdout=Duration(seconds=1),
        rounds=ROUNDS,
        early_stopping_rounds=ROUNDS,
        parameters=PARAMETERS,
    ),
    promotion=PromotionSpec(metric="roc_auc"),
)


def bare(backend: Any) -> bytes:
    """Train by hand: tables that hold codes already, one fetch each, one matrix each."""
    import xgboost

    matrices = []
    for table in ("ready_training", "ready_validation"):
        features, labels = fetch_matrix(backend, table)
        reference = matrices[0] if matrices else None
        matrices.append(
            xgboost.QuantileDMatrix(
                features, labels, feature_types=TYPES, enable_categorical=True, nthread=THREADS, ref=reference
            )
        )
    parameters = {**PARAMETERS, "objective": "binary:logistic", "eval_metric": "logloss", "nthread": THREADS, "seed": 0}
    booster = xgboost.train(
        parameters, matrices[0], ROUNDS, evals=[(matrices[1], "v")], early_stopping_rounds=ROUNDS, verbose_eval=False
    )
    return bytes(booster[: booster.best_iteration + 1].save_raw("ubj"))


def ours(backend: Any) -> bytes:
    """Fit the encoding, encode, sort, batch and train, from raw rows."""
    learnt, stopping = parts(backend)
    counts = backend.to_pyarrow(encoding_query(learnt, FEATURES, max_categories=KEPT_CATEGORIES))
    encoding = fit(learnt.schema(), FEATURES, counts)
    encoded = (encode(rows, encoding, keep=["id", "label"]) for rows in (learnt, stopping))
    readers = [reader_of(backend, in_order(rows, encoding, order=["id"])) for rows in encoded]
    return train(*readers, SPEC, feature_types=encoding.feature_types, seed=0, threads=THREADS).booster


def parts(backend: Any) -> tuple[Any, Any]:
    """Return the rows to train on and to validate with: the newest fifth validates."""
    rows = backend.table("raw_rows")
    boundary = int(backend.con.sql("select 0.8 * count(*) from raw_rows").fetchall()[0][0])
    return rows.filter(rows.id < boundary), rows.filter(rows.id >= boundary)


def run(rows: int) -> dict[str, object]:
    """Return rows a second of both ways, and how many times longer ours takes (lower is better)."""
    with engine_with_rows(rows) as backend:
        learnt, stopping = parts(backend)
        counts = backend.to_pyarrow(encoding_query(learnt, FEATURES, max_categories=KEPT_CATEGORIES))
        encoding = fit(learnt.schema(), FEATURES, counts)
        for name, part in (("ready_training", learnt), ("ready_validation", stopping)):
            ready = backend.to_pyarrow(encode(part, encoding, keep=["id", "label"]).order_by("id"))
            backend.create_table(name, ready.drop_columns(["id"]))
        cost = alternate({"bare": lambda: bare(backend), "ours": lambda: ours(backend)}, rounds=3)
    return {
        "rows": rows,
        "bare_rows_per_s": round(rows / cost["bare"].wall),
        "ours_rows_per_s": round(rows / cost["ours"].wall),
        "ratio": cost["ours"].ratio(cost["bare"]),
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)))

"""The whole road, raw CSV → raw table → features → training → predictions: the book's assets against a script by hand.

Run ``python -m benchmarks.road 5000000``. Each side runs in a process of its own and keeps each stage in files.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from metaplatform.resources.process.peak_memory import peak_memory

THREADS, ROUNDS = 2, 50
NOW = datetime(2024, 3, 1, tzinfo=UTC)
ORDERS = """
select i as order_id, hash(i * 13) % 50000 as customer,
       timestamp '2024-01-01' + to_microseconds((i * (2419200000000 // {rows}))::bigint) as at,
       (hash(i * 3) % 10000) / 100.0 as amount, (hash(i * 11) % 60)::integer as minutes,
       hash(i * 3) % 10000 > 5000 + (hash(i * 7) % 3000)::bigint - 1500 as returned
from range({rows}) as numbers(i)
"""
BOOK = """\
sources:
  orders:
    kind: csv
    path: orders.csv
    columns: {order_id: bigint, customer: bigint, at: timestamp, amount: double, minutes: integer, returned: boolean}
    key: [order_id]
    event_timestamp: at
    outcomes: {columns: [returned], delay: 1 day}
feature_sets:
  facts:
    spine: raw.orders
    features:
      - {kind: expression, columns: {price: ln(amount + 1), stayed: minutes}}
      - kind: window
        table: raw.orders
        on: {customer: customer}
        window: 7 days
        columns: {bought: count(*), spent: sum(amount)}
models:
  returns:
    kind: xgboost
    task: binary
    feature_set: facts
    label_delay: 1 day
    target: {sql: returned}
    training:
      {window: 2 months, holdout: 5 days, rounds: 50, early_stopping_rounds: 50, refit: false, seed: 7,
       parameters: {max_depth: 6}}
    promotion: {metric: roc_auc}
predictions:
  order_returns: {model: returns, in_sample: true}
"""
STAGES = ("raw.orders", "features.facts", "models.returns", "predictions.order_returns")
FEATURES = """
select order_id, "at", ln(amount + 1) as price, minutes as stayed, count(*) over week as bought,
       sum(amount) over week as spent
from '{raw}'
window week as (partition by customer order by "at" range between interval 7 days preceding
                and interval 1 microsecond preceding)
"""


DIFFERING = """
select count(*)
from read_parquet('{storage}/warehouse/{table}/**/*.parquet') as ours full join '{hand}' as theirs using (order_id)
where {differ}
"""
"""Rows that only one side has, or that both have with other values; one run wrote every file of a table."""


def by_book(folder: Path) -> dict[str, float]:
    """Make the book's assets, one run each; return the seconds of each."""
    import dagster as dg

    from metaplatform.composition import definitions_of
    from metaplatform.execution import run_in_process
    from metaplatform.factories.mount import STANDALONE
    from metaplatform.specs.book.deployment import Deployment
    from metaplatform.specs.loading import load_book
    from metaplatform.work.steps import NOW_TAG

    deployment = Deployment(book=folder / "book", root=folder / "storage", threads=THREADS)
    repository = definitions_of(load_book(deployment.book), deployment).get_repository_def()
    seconds = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for ref in STAGES:
            began = time.perf_counter()
            run_in_process(repository, instance, assets=[STANDALONE.key(ref)], tags={NOW_TAG: NOW.isoformat()})
            seconds[ref] = round(time.perf_counter() - began, 2)
    return seconds


def by_hand(folder: Path) -> dict[str, float]:
    """Do the same with DuckDB, pandas and XGBoost, in a file a stage; return the seconds of each."""
    import xgboost

    connection = duckdb.connect(config={"threads": THREADS})
    raw, kept, scored = (folder / f"hand-{name}.parquet" for name in ("raw", "features", "scores"))
    marks = [time.perf_counter()]
    connection.execute(f"copy (from read_csv('{folder / 'orders.csv'}')) to '{raw}'")
    marks.append(time.perf_counter())
    connection.execute(f"copy ({FEATURES.format(raw=raw)}) to '{kept}'")
    marks.append(time.perf_counter())
    query = f"select f.*, o.returned from '{kept}' as f join '{raw}' as o using (order_id) order by order_id"
    rows = connection.execute(query).df()
    names = ["price", "stayed", "bought", "spent"]
    learnt, stopping = rows[: int(len(rows) * 0.7)], rows[int(len(rows) * 0.7) : int(len(rows) * 0.82)]
    train = xgboost.QuantileDMatrix(learnt[names], learnt["returned"], nthread=THREADS)
    valid = xgboost.QuantileDMatrix(stopping[names], stopping["returned"], nthread=THREADS, ref=train)
    parameters = {"objective": "binary:logistic", "max_depth": 6, "nthread": THREADS, "seed": 7}
    booster = xgboost.train(parameters, train, ROUNDS, evals=[(valid, "valid")], verbose_eval=False)
    marks.append(time.perf_counter())
    scores = rows[["order_id", "at"]].assign(probability=booster.inplace_predict(rows[names]))  # noqa: F841  # DuckDB's
    connection.execute(f"copy scores to '{scored}'")
    marks.append(time.perf_counter())
    return {ref: round(after - before, 2) for ref, before, after in zip(STAGES, marks, marks[1:], strict=False)}


def _side(side: str, folder: Path) -> None:
    """Run one side in this process; print seconds and peak memory as JSON."""
    start, cpu = time.perf_counter(), time.process_time()
    stages = by_book(folder) if side == "book" else by_hand(folder)
    measured = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu, "stages": stages}
    print(json.dumps({**measured, "peak_mb": peak_memory()}))


def differing(folder: Path) -> int:
    """Return how many features the two sides have worked out differently, and how many rows only one has scored."""
    values = "(ours.bought, round(ours.spent, 4)) is distinct from (theirs.bought, round(theirs.spent, 4))"
    asked = (
        ("features/facts", "features", f"ours.price is null or theirs.price is null or {values}"),
        ("predictions/order_returns", "scores", "ours.probability is null or theirs.probability is null"),
    )
    storage, total = folder / "storage", 0
    for table, hand, differ in asked:
        query = DIFFERING.format(storage=storage, table=table, hand=folder / f"hand-{hand}.parquet", differ=differ)
        total += duckdb.sql(query).fetchall()[0][0]
    return total


def run(rows: int) -> dict[str, object]:
    """Return seconds, those of each stage, CPU seconds and peak memory (MB) of both sides, and the ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        duckdb.connect().execute(f"copy ({ORDERS.format(rows=rows)}) to '{folder / 'orders.csv'}' (header)")
        (folder / "book").mkdir()
        (folder / "book" / "book.yaml").write_text(BOOK, encoding="utf-8")
        sides = {}
        for side in ("book", "hand"):
            command = [sys.executable, "-m", "benchmarks.road", side, name]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
            sides[side] = json.loads(done.stdout.splitlines()[-1])
        different = differing(folder)
    ratios = {
        name: sides["book"][unit] / sides["hand"][unit]
        for name, unit in (("ratio", "seconds"), ("cpu_ratio", "cpu_seconds"))
    }
    return {"rows": rows, "rows_that_differ": different, **sides, **ratios}


if __name__ == "__main__":
    if sys.argv[1] in {"book", "hand"}:
        _side(sys.argv[1], Path(sys.argv[2]))
    else:
        print(json.dumps(run(int(sys.argv[1])), indent=2))

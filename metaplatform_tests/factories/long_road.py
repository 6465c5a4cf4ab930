"""What another process runs in the test of the whole road: a folder → a book made of three million rows, all of it."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import dagster as dg

from metaplatform.composition import definitions_of
from metaplatform.execution import run_in_process
from metaplatform.factories.mount import STANDALONE
from metaplatform.resources.process.peak_memory import peak_memory
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book
from metaplatform.work.steps import NOW_TAG

ROWS = 3_000_000
CUSTOMERS = 5_000
STEP_MS = 800
"""Milliseconds between two orders: all of them in the first 28 days of the month."""
PARTITION = "2024-01"
BOOK = """\
sources:
  orders:
    kind: parquet
    path: orders.parquet
    columns: {order_id: bigint, customer: bigint, at: timestamptz, amount: double, returned: boolean}
    key: [order_id]
    event_timestamp: at
    partitions: {every: month, start: 2024-01}
    outcomes: {columns: [returned], delay: 1 day}
  visits:
    kind: csv
    path: visits.csv
    columns: {visit: bigint, customer: bigint, minutes: double}
    key: [visit]
  clicks:
    kind: json
    path: clicks.json
    columns: {click: bigint, page: varchar}
    key: [click]
tables:
  lines:
    sql: select o.*, v.minutes from raw.orders as o left join raw.visits as v on v.visit = o.order_id
    partitioned_by: raw.orders
    key: [order_id]
    event_timestamp: at
feature_sets:
  facts:
    spine: tables.lines
    features:
      - {kind: expression, columns: {price: amount, stayed: minutes}}
      - kind: window
        table: tables.lines
        on: {customer: customer}
        window: 1 day
        columns: {bought: count(*), spent: sum(amount)}
models:
  returns:
    kind: xgboost
    task: binary
    feature_set: facts
    label_delay: 1 day
    target: {sql: returned}
    training: {window: 2 months, holdout: 5 days, rounds: 3, seed: 7, parameters: {max_depth: 3}}
    promotion: {metric: roc_auc}
predictions:
  order_returns: {model: returns, keep: [returned], in_sample: true}
outputs:
  as_csv: {kind: csv, table: predictions.order_returns}
  as_parquet: {kind: parquet, table: predictions.order_returns}
  as_views: {kind: views, tables: [predictions.order_returns, tables.lines]}
  as_report:
    kind: report
    title: Scores by outcome
    partitioned_by: predictions.order_returns
    sql: |
      select returned, count(*) as scored, avg(probability) as mean
      from predictions.order_returns group by returned order by returned
"""
STAGES = (
    ("raw.visits", None),
    ("raw.clicks", None),
    ("raw.orders", PARTITION),
    ("tables.lines", PARTITION),
    ("features.facts", PARTITION),
    ("models.returns", None),
    ("predictions.order_returns", PARTITION),
    ("outputs.as_csv", PARTITION),
    ("outputs.as_parquet", PARTITION),
    ("outputs.as_views", None),
    ("outputs.as_report", PARTITION),
)


def main(folder: Path) -> None:
    """Make every asset of the book below ``folder``; print the seconds of each and the peak of memory, in MB."""
    deployment = Deployment(book=folder / "book", root=folder / "storage", memory_limit="1500 MiB", threads=2)
    repository = definitions_of(load_book(deployment.book), deployment).get_repository_def()
    seconds = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for ref, partition in STAGES:
            began = perf_counter()
            now = datetime(2024, 3, 1, tzinfo=UTC).isoformat()
            run_in_process(repository, instance, assets=[STANDALONE.key(ref)], partition=partition, tags={NOW_TAG: now})
            seconds[ref] = round(perf_counter() - began, 2)
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak_memory()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

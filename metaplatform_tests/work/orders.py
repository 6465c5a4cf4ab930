"""Orders that come back or not, stored as spine and features, for what runs do with them."""

import datetime as dt
from pathlib import Path

import pyarrow as pa

from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
DAYS, ROWS = 40, 900
BOOK = """\
sources:
  orders:
    kind: csv
    path: orders.csv
    columns: {{id: bigint, at: timestamptz, amount: double, returned: boolean, test: boolean}}
    key: [id]
    event_timestamp: at
{partitions}
feature_sets:
  facts: {{spine: raw.orders, features: [{{kind: expression, columns: {{price: amount}}}}]}}
models:
  returns:
    kind: xgboost
    task: binary
    feature_set: facts
    label_delay: {delay}
    target: {{sql: returned, exclude: test}}
    training: {{window: {window}, holdout: {holdout}, min_rows: 10}}
    promotion: {{metric: roc_auc, min_rows: 100}}
"""


def book_of(folder: Path, *, every: str, delay: str, window: str, holdout: str) -> Manifest:
    starts = {"month": "2024-01", "day": "2024-01-01", "hour": "2024-01-01T00"}
    partitions = f"    partitions: {{every: {every}, start: {starts[every]}}}" if every else ""
    (folder / "book.yaml").write_text(
        BOOK.format(partitions=partitions, delay=delay, window=window, holdout=holdout), encoding="utf-8"
    )
    return load_book(folder)


def rows() -> pa.Table:
    """Return rows at uneven moments, some on full hours; labels missing, left out, and at an end all of one class."""
    moments = [START + dt.timedelta(minutes=(number * number * 7) % (DAYS * 1440)) for number in range(ROWS)]
    late = START + dt.timedelta(days=DAYS - 5)
    return pa.table(
        {
            "id": pa.array(range(ROWS)),
            "at": pa.array(moments, pa.timestamp("us", "UTC")),
            "amount": [float(number % 13) for number in range(ROWS)],
            "returned": [
                None if number % 11 == 0 else moment > late or number % 3 == 0 for number, moment in enumerate(moments)
            ],
            "test": [number % 7 == 0 for number in range(ROWS)],
        }
    )


def store(warehouse: Warehouse, manifest: Manifest, orders: pa.Table) -> None:
    """Write orders as spine and as features, partition by partition where the book has some."""
    line = manifest.partitions("features.facts")
    keys = [line.key_of(moment) if line else None for moment in orders["at"].to_pylist()]
    for key in sorted(set(keys)) if line else [None]:
        part = orders.filter(pa.array([found == key for found in keys]))
        warehouse.replace("raw.orders", part, partition=key, metadata={})
        features = part.select(["id", "at"]).append_column("price", part["amount"])
        warehouse.replace("features.facts", features, partition=key, metadata={})

"""Books for the loop's decisions, as a user writes them."""

import tempfile
from pathlib import Path

from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book

SHOP = """
sources:
  orders:
    kind: csv
    path: orders/*.csv
    columns: {id: bigint, customer: varchar, amount: double, at: timestamptz, returned: boolean}
    key: [id]
    event_timestamp: at
    partitions: {every: day, start: 2024-01-01}
    outcomes: {columns: [returned], delay: 2 days}
  visits:
    kind: csv
    path: visits/*.csv
    columns: {customer: varchar, at: timestamptz}
    key: [customer, at]
    event_timestamp: at
    partitions: {every: day, start: 2024-01-01}
  budgets:
    kind: csv
    path: budgets/*.csv
    columns: {shop: varchar, month_at: timestamptz, budget: double}
    key: [shop]
    event_timestamp: month_at
    partitions: {every: month, start: 2023-12}
  customers:
    kind: csv
    path: customers.csv
    columns: {customer: varchar, country: varchar}
    key: [customer]
  prices:
    kind: csv
    path: prices.csv
    columns: {product: varchar, price: double}
    key: [product]

tables:
  large_orders:
    sql: select id, customer, amount, at from raw.orders where amount > 100
    partitioned_by: raw.orders
  totals:
    sql: select o.customer, sum(o.amount) as amount from raw.orders o, raw.prices group by all
  budgets_used:
    sql: select b.shop, sum(o.amount) as used from raw.budgets b, raw.orders o group by all
    partitioned_by: raw.budgets

feature_sets:
  order_features:
    spine: raw.orders
    features:
      - kind: expression
        columns: {size: amount}
      - {kind: lookup, table: raw.customers, on: {customer: customer}, columns: {country: country}}
      - {kind: window, table: raw.visits, on: {customer: customer}, window: 7 days, columns: {visits: count(*)}}

models:
  returns:
    kind: xgboost
    task: binary
    feature_set: order_features
    target: {sql: returned}
    training: {window: 30 days, holdout: 5 days}
    promotion: {metric: roc_auc}
    retrain: {cooldown: 7 days}

predictions:
  likely: {model: returns}

monitors:
  likely_drift: {kind: drift, prediction: likely}
  likely_performance: {kind: performance, prediction: likely, metrics: {roc_auc: {min: 0.6}}}

outputs:
  likely_file: {kind: csv, table: predictions.likely}
  everything: {kind: views, tables: [predictions.likely, outputs.alarm, raw.budgets]}
  likely_by_country:
    kind: report
    title: By country
    partitioned_by: predictions.likely
    sql: select p.id, c.country from predictions.likely p, raw.customers c
    after: [monitoring.likely_drift, outputs.likely_file]
  alarm:
    kind: report
    title: Alarm
    partitioned_by: predictions.likely
    sql: select id from predictions.likely where probability > 0.9
  alarm_copy: {kind: csv, table: outputs.alarm}

reactions:
  alarm: {prediction: likely, when: probability > 0.9, materialize: [raw.prices, outputs.alarm]}
"""
"""Two lines of partitions (days and months), two sources without, two sources on one line, all kinds of outputs."""

PLAIN = """
sources:
  houses:
    kind: csv
    path: houses.csv
    columns: {id: bigint, sold_at: timestamptz, rooms: integer, price: double}
    key: [id]
    event_timestamp: sold_at
feature_sets:
  rooms:
    spine: raw.houses
    features: [{kind: expression, columns: {rooms: rooms}}]
models:
  price:
    kind: xgboost
    task: regression
    feature_set: rooms
    target: {sql: price}
    label_delay: 1 day
    training: {window: 90 days, holdout: 10 days}
    promotion: {metric: rmse}
predictions:
  priced: {model: price}
tables:
  by_rooms: {sql: 'select rooms, avg(price) as price from raw.houses group by all'}
  guessed: {sql: 'select id, prediction as guess from predictions.priced'}
monitors:
  priced_drift: {kind: drift, prediction: priced}
  priced_performance: {kind: performance, prediction: priced, metrics: {rmse: {max: 2}}}
outputs:
  priced_file: {kind: parquet, table: predictions.priced}
"""
"""Nothing has partitions."""

STACKED = """
sources:
  trips:
    kind: csv
    path: trips.csv
    columns: {id: bigint, at: timestamptz, km: double, late: boolean, cost: double}
    key: [id]
    event_timestamp: at
    partitions: {every: month, start: 2024-01}
    outcomes: {columns: [late, cost], delay: 1 day}
tables:
  risky:
    sql: select id, at, probability from predictions.lateness
    partitioned_by: predictions.lateness
    key: [id]
    event_timestamp: at
feature_sets:
  distance:
    spine: raw.trips
    features: [{kind: expression, columns: {km: km}}]
  risk:
    spine: raw.trips
    features: [{kind: lookup, table: tables.risky, on: {id: id}, columns: {risk: probability}}]
models:
  late:
    kind: xgboost
    task: binary
    feature_set: distance
    target: {sql: late}
    training: {window: 90 days, holdout: 10 days}
    promotion: {metric: roc_auc}
  cost:
    kind: xgboost
    task: regression
    feature_set: risk
    target: {sql: cost}
    training: {window: 90 days, holdout: 10 days}
    promotion: {metric: rmse}
predictions:
  lateness: {model: late}
  costs: {model: cost}
outputs:
  costs_file: {kind: csv, table: predictions.costs}
"""
"""A model's predictions are features of another model."""


def book(text: str) -> Manifest:
    """Return the manifest of one YAML file."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "metadata")
        folder.mkdir()
        (folder / "book.yaml").write_text(text)
        return load_book(folder)

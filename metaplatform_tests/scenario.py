"""A worked project of another trade than the default book: a shop whose orders come back, or not.

Synthetic, from a seeded generator. Up to the month of the shift, dear orders come back; from then on orders are
dearer, and it is the cheap ones that do.
"""

from pathlib import Path

import numpy as np

MONTHS = ("2024-01", "2024-02", "2024-03", "2024-04", "2024-05", "2024-06")
ORDERS_A_MONTH = 1_500

BOOK = """\
sources:
  orders:
    kind: csv
    path: data/orders/*.csv
    columns:
      order_id: bigint
      customer: varchar
      ordered_at: timestamp
      amount: double
      channel: varchar
      returned: boolean
    key: [order_id]
    event_timestamp: ordered_at
    partitions: {every: month, start: 2024-01}
    outcomes: {columns: [returned], delay: 1 day}
  customers:
    kind: csv
    path: data/customers.csv
    columns: {customer: varchar, country: varchar, age: integer}
    key: [customer]

tables:
  channels:
    sql: select channel, count(*) as orders from raw.orders group by channel

feature_sets:
  order_features:
    spine: raw.orders
    features:
      - kind: expression
        columns: {price: amount, sold_by: channel, weekday: isodow(ordered_at)}
      - kind: lookup
        table: raw.customers
        on: {customer: customer}
        columns: {country: country, age: age}
      - kind: window
        table: raw.orders
        on: {channel: channel}
        window: 14 days
        delay: 1 day
        columns: {returned_lately: avg(returned::integer)}

models:
  returns:
    kind: xgboost
    task: binary
    feature_set: order_features
    target: {sql: returned}
    training:
      window: 2 months
      holdout: 10 days
      min_rows: 500
      rounds: 40
      early_stopping_rounds: 10
      seed: 7
      parameters: {max_depth: 3, eta: 0.3}
    promotion: {metric: roc_auc, min_rows: 200}
    retrain:
      drift: {monitors: [returns_drift]}
      performance: {monitors: [returns_performance]}
      cooldown: 20 days

predictions:
  order_returns: {model: returns, keep: [channel]}

monitors:
  returns_drift: {kind: drift, prediction: order_returns, drift_share: 0.2, exclude: [returned_lately]}
  returns_performance: {kind: performance, prediction: order_returns, metrics: {roc_auc: {max_loss: 0.1}}}

outputs:
  returns_file: {kind: csv, table: predictions.order_returns}
  returns_views: {kind: views, tables: [predictions.order_returns, raw.orders]}
  returns_report:
    kind: report
    title: Orders that may come back
    partitioned_by: predictions.order_returns
    sql: |
      select p.order_id, p.channel, c.orders, p.probability
      from predictions.order_returns as p join tables.channels as c using (channel)
      where p.probability > 0.5
      order by p.probability desc, p.order_id

reactions:
  call_customers:
    prediction: order_returns
    when: probability > 0.5
    materialize: [raw.customers, outputs.returns_report]
    notify: [{kind: file}]
"""


def write_project(folder: Path, *, book: str = BOOK) -> Path:
    """Write the book, and the customers once, below ``folder``; return the book's folder."""
    metadata = folder / "metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "shop.yaml").write_text(book, encoding="utf-8")
    customers = folder / "data" / "customers.csv"
    customers.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    lines = [f"c{number},{random.choice(['DE', 'NO', 'US'])},{random.integers(18, 80)}" for number in range(300)]
    if not customers.exists():
        customers.write_text("\n".join(["customer,country,age", *lines]) + "\n", encoding="utf-8")
    return metadata


def write_month(folder: Path, month: str, *, shifted: bool) -> Path:
    """Let the orders of ``month`` arrive; ``shifted`` ones are dearer and come back for the opposite reason."""
    number = MONTHS.index(month)
    random = np.random.default_rng(100 + number)
    start = np.datetime64(f"{month}-01T00:00:00")
    seconds = np.sort(random.integers(0, 28 * 86_400, ORDERS_A_MONTH))
    amounts = random.gamma(4, 25, ORDERS_A_MONTH) * (2.5 if shifted else 1.0)
    middle = np.median(amounts)
    chance = 1 / (1 + np.exp((1 if shifted else -1) * (amounts - middle) / (middle / 4)))
    returned = random.random(ORDERS_A_MONTH) < chance
    channels = random.choice(["web", "app", "shop"], ORDERS_A_MONTH)
    lines = ["order_id,customer,ordered_at,amount,channel,returned"]
    for index in range(ORDERS_A_MONTH):
        moment = str(start + np.timedelta64(int(seconds[index]), "s")).replace("T", " ")
        lines.append(
            f"{number * ORDERS_A_MONTH + index},c{random.integers(0, 320)},{moment},{amounts[index]:.2f},"
            f"{channels[index]},{str(bool(returned[index])).lower()}"
        )
    path = folder / "data" / "orders" / f"{month}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file arrives whole: who looks meanwhile must not see half of it.
    arriving = path.with_suffix(".part")
    arriving.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arriving.rename(path)
    return path

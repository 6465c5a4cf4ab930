"""Shops of ten assets and eight checks each: as a book's YAML, and as Dagster code that a person would write."""

from pathlib import Path

ASSETS = 10
"""Assets of one shop: three sources, a table, features, a model, a prediction, a file and two monitors."""

BOOK = """\
sources:
  orders_#:
    kind: csv
    description: Orders of shop #, and how late they came.
    owners: [team:shop]
    path: data/orders_#_*.csv
    columns:
      order_#: bigint
      customer: varchar
      store: varchar
      ordered_at: timestamptz
      amount_#: double
      minutes_late: integer
      channel: varchar
    key: [order_#]
    event_timestamp: ordered_at
    partitions: {every: month, start: 2022-01, timezone: Europe/Berlin}
    outcomes:
      columns: [minutes_late]
      delay: 2 days

  stock_#:
    kind: parquet
    description: Stock of each store of shop #, counted every few hours.
    owners: [team:shop]
    path: data/stock_#.parquet
    columns:
      store: varchar
      counted_at: timestamptz
      stock_#: integer
    key: [store, counted_at]
    event_timestamp: counted_at

  customers_#:
    kind: csv
    description: Customers of shop #.
    owners: [team:shop]
    path: data/customers_#.csv
    null_values: ["", NA]
    columns:
      customer: varchar
      age_#: integer
      tier: varchar
    key: [customer]

tables:
  adults_#:
    description: Customers of shop # who are of age.
    owners: [team:analytics]
    sql: |
      select customer, age_#, coalesce(tier, 'none') as tier
      from raw.customers_#
      where age_# >= 18
    key: [customer]

feature_sets:
  order_features_#:
    description: What is known of an order of shop # when it is made.
    owners: [team:data-science]
    spine: raw.orders_#
    features:
      - kind: expression
        columns:
          sold_by: channel
          log_amount: ln(amount_# + 1)
          weekday: isodow(ordered_at)
      - kind: as_of
        table: raw.stock_#
        on: {store: store}
        within: 12 hours
        columns:
          stock: stock_#
      - kind: lookup
        table: tables.adults_#
        on: {customer: customer}
        columns:
          customer_age: age_#
          customer_tier: tier
      - kind: window
        table: raw.orders_#
        on: {store: store}
        window: 7 days
        delay: 2 days
        columns:
          store_mean_late: avg(minutes_late)
          store_amount: sum(amount_#)

models:
  late_#:
    kind: xgboost
    description: Will an order of shop # come late?
    owners: [team:data-science]
    task: binary
    feature_set: order_features_#
    target: {sql: minutes_late > 30, exclude: minutes_late is null}
    training:
      window: 6 months
      holdout: 1 month
      parameters: {max_depth: 6, eta: 0.1}
    promotion: {metric: roc_auc, min_gain: 0.002}
    retrain:
      drift: {monitors: [late_orders_drift_#]}
      cooldown: 20 days

predictions:
  late_orders_#:
    description: How likely each order of shop # comes late.
    owners: [team:data-science]
    model: late_#
    keep: [store]

outputs:
  late_orders_file_#:
    kind: parquet
    description: Predictions of shop #, a file a month.
    owners: [team:shop]
    table: predictions.late_orders_#

monitors:
  late_orders_drift_#:
    kind: drift
    description: Do the orders of shop # look like those learnt from?
    owners: [team:data-science]
    prediction: late_orders_#

  late_orders_performance_#:
    kind: performance
    description: Was the model of shop # right?
    owners: [team:data-science]
    prediction: late_orders_#
    metrics:
      roc_auc: {min: 0.6}
      log_loss: {max_loss: 0.1}
"""

SHARED_CODE = """\
import dagster as dg

MONTHS = dg.TimeWindowPartitionsDefinition(
    start="2022-01", fmt="%Y-%m", timezone="Europe/Berlin", cron_schedule="0 0 1 * *"
)
"""

CODE_HEAD = """\
import dagster as dg

from metaplatform.resources.process.clock import Clock
from metaplatform.resources.sinks.exports import Exports
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.warehouse import Warehouse
from shop_months import MONTHS

"""

_ASSET = """
@dg.asset(
    key_prefix="{prefix}",
    deps=[{deps}],
    group_name="{prefix}",
    kinds={{{kinds}}},
    owners=["team:{owner}"],
    description="{description}",
    code_version="1",{partitions}
)
def {name}(context: dg.AssetExecutionContext, warehouse: Warehouse, {resource}) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={{"rows": 0}})

"""

_CONTRACT = """
@dg.multi_asset_check(
    name="raw__{name}__contract",
    specs=[
        dg.AssetCheckSpec(
            name="contract",
            asset=dg.AssetKey(["raw", "{name}"]),
            description="Files of raw.{name} are read and their rows held against what was agreed.",
            blocking=True,
        )
    ],
    required_resource_keys={{"warehouse", "clock"}},
)
def read_{name}(context: dg.AssetCheckExecutionContext):
    yield from ()

"""

_MONITOR = """
{name} = dg.AssetSpec(
    key=dg.AssetKey(["monitoring", "{name}"]),
    deps=[dg.AssetKey(["predictions", "late_orders_#"])],
    group_name="monitoring",
    kinds={{"evidently", "deltalake"}},
    owners=["team:data-science"],
    description="{description}",
    code_version="1",
    partitions_def=MONTHS,
)


@dg.multi_asset_check(
    name="monitoring__{name}",
    specs=[
        dg.AssetCheckSpec(
            name=f"{name}_{{check}}",
            asset=dg.AssetKey(["predictions", "late_orders_#"]),
            description="{description}",
            partitions_def=MONTHS,
        )
        for check in {checks}
    ],
    required_resource_keys={{{resources}}},
)
def watch_{name}(context: dg.AssetCheckExecutionContext):
    yield from ()

"""

_ASSETS = (
    ("raw", "orders_#", (), "Orders of shop #, and how late they came.", "shop", "csv", "clock: Clock", True),
    ("raw", "stock_#", (), "Stock of each store of shop #, counted every few hours.", "shop", "parquet",
     "clock: Clock", False),
    ("raw", "customers_#", (), "Customers of shop #.", "shop", "csv", "clock: Clock", False),
    ("tables", "adults_#", ("raw.customers_#",), "Customers of shop # who are of age.", "analytics", "sql",
     "clock: Clock", False),
    ("features", "order_features_#", ("raw.orders_#", "raw.stock_#", "tables.adults_#"),
     "What is known of an order of shop # when it is made.", "data-science", "duckdb", "clock: Clock", True),
    ("models", "late_#", ("features.order_features_#", "raw.orders_#"), "Will an order of shop # come late?",
     "data-science", "xgboost", "registry: ModelRegistry", False),
    ("predictions", "late_orders_#", ("models.late_#", "features.order_features_#", "raw.orders_#"),
     "How likely each order of shop # comes late.", "data-science", "xgboost", "registry: ModelRegistry", True),
    ("outputs", "late_orders_file_#", ("predictions.late_orders_#",), "Predictions of shop #, a file a month.", "shop",
     "parquet", "exports: Exports", True),
)  # fmt: skip
_MONITORS = (
    ("late_orders_drift_#", "Do the orders of shop # look like those learnt from?",
     ("profile", "data_drift", "prediction_drift"), ("warehouse", "registry", "exports", "clock")),
    ("late_orders_performance_#", "Was the model of shop # right?", ("roc_auc", "log_loss"),
     ("warehouse", "registry", "exports", "clock", "mlflow")),
)  # fmt: skip


def write_book(folder: Path, shops: int) -> None:
    """Write the book of ``shops`` shops, a YAML file each."""
    folder.mkdir(parents=True)
    for shop in range(shops):
        Path(folder, f"shop_{shop}.yaml").write_text(BOOK.replace("#", str(shop)))
    Path(folder, "book.yaml").write_text("spec_version: 2\n")


def write_code(folder: Path, shops: int) -> None:
    """Write the same assets as Dagster code, a module ``shop_<number>`` each with ``assets`` and ``checks``."""
    folder.mkdir(parents=True)
    Path(folder, "shop_months.py").write_text(SHARED_CODE)
    sources = [asset[1] for asset in _ASSETS if asset[0] == "raw"]
    contracts = [_CONTRACT.format(name=name) for name in sources]
    text = CODE_HEAD + "".join([*map(_asset_code, _ASSETS), *contracts, *map(_monitor_code, _MONITORS)])
    names = [asset[1] for asset in _ASSETS] + [monitor[0] for monitor in _MONITORS]
    text += f"\nassets = [{', '.join(names)}]\n"
    checks = [*(f"read_{name}" for name in sources), *(f"watch_{monitor[0]}" for monitor in _MONITORS)]
    text += f"checks = [{', '.join(checks)}]\n"
    for shop in range(shops):
        Path(folder, f"shop_{shop}.py").write_text(text.replace("#", str(shop)))


def _asset_code(asset: tuple[str, str, tuple[str, ...], str, str, str, str, bool]) -> str:
    prefix, name, deps, description, owner, kind, resource, partitioned = asset
    second = "mlflow" if prefix == "models" else "deltalake"
    pairs = (dep.split(".") for dep in deps)
    return _ASSET.format(
        prefix=prefix,
        name=name,
        deps=", ".join(f'dg.AssetKey(["{first}", "{last}"])' for first, last in pairs),
        kinds=f'"{kind}"' if prefix == "outputs" else f'"{kind}", "{second}"',
        owner=owner,
        description=description,
        partitions="\n    partitions_def=MONTHS," if partitioned else "",
        resource=resource,
    )


def _monitor_code(monitor: tuple[str, str, tuple[str, ...], tuple[str, ...]]) -> str:
    name, description, checks, resources = monitor
    wanted = ", ".join(f'"{resource}"' for resource in resources)
    return _MONITOR.format(name=name, description=description, checks=checks, resources=wanted).replace("'", '"')

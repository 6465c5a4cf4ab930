"""Raw rows → features → training frame: the book's way against DuckDB SQL written by hand.

Run ``python benchmarks/features.py 5000000``. Each side runs in a process of its own, keeps its features in a Parquet
file, and joins them with the labels into another, in training order; the two frames are checked equal.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import ibis

from metaplatform.compute.features import build_features, labels, training_frame
from metaplatform.resources.process.peak_memory import peak_memory
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.ingestion import ParquetSource
from metaplatform.specs.entities.training import ModelSpec

THREADS = 2
ORDERS = """
select i as order_id,
       'S' || hash(i * 7 + 1) % 200 as store,
       nullif('C' || hash(i * 13 + 2) % greatest({rows} // 20, 1), 'C0') as customer,
       make_timestamptz(1640995200000000 + i * (63072000000000 // {rows}) + (hash(i) % 60000000)::bigint) as ordered_at,
       hash(i * 3) % 10000 / 100.0::double as amount,
       case when hash(i * 5) % 20 = 0 then null else (hash(i * 11) % 300)::integer end as minutes_late,
       ['web', 'app', 'shop'][(hash(i * 17) % 3)::bigint + 1] as channel
from range({rows}) as numbers(i)
"""
CUSTOMERS = """
select 'C' || i as customer, (hash(i) % 80 + 18)::integer as age,
       ['gold', 'silver', null][(hash(i * 3) % 3)::bigint + 1] as tier
from range(greatest({rows} // 25, 1)) as numbers(i)
"""
STOCK = """
select 'S' || s as store, make_timestamptz(1640995200000000 + h * 3600000000) as counted_at,
       (hash(s * 100003 + h) % 1000)::integer as stock
from range(200) as stores(s), range(17520) as hours(h) where h % 6 = s % 6
"""
FEATURES_BY_HAND = """
copy (
  with past as (
    select store, epoch_us(ordered_at) as moment, minutes_late, amount from orders
  ), late as (
    select store, moment, any_value(mean_late) as mean_late, any_value(orders) as orders from (
      select store, moment, avg(minutes_late) over week as mean_late, count(*) over week as orders
      from past
      window week as (
        partition by store order by moment range between 691200000000 preceding and 86400000001 preceding
      )
    ) group by all
  ), bought as (
    select customer, moment, any_value(spent) as spent from (
      select customer, moment, max(amount) over (
        partition by customer order by moment range between 2592000000000 preceding and 1 preceding
      ) as spent
      from (select customer, epoch_us(ordered_at) as moment, amount from orders where customer is not null)
    ) group by all
  )
  select o.order_id, o.ordered_at, o.channel as sold_by, ln(o.amount + 1) as log_amount,
         isodow(o.ordered_at::timestamp) as weekday,
         case when s.counted_at >= o.ordered_at - interval 12 hours then s.stock end as stock,
         c.age as customer_age, c.tier as customer_tier, c.age * 12 as age_months,
         l.mean_late as store_mean_late, coalesce(l.orders, 0) as store_orders, b.spent as customer_spent
  from orders as o
  asof left join stock as s on o.store = s.store and o.ordered_at > s.counted_at
  left join customers as c on o.customer = c.customer
  left join late as l on o.store = l.store and epoch_us(o.ordered_at) = l.moment
  left join bought as b on o.customer = b.customer and epoch_us(o.ordered_at) = b.moment
) to '{target}'
"""
FRAME_BY_HAND = """
copy (
  select f.*, (o.minutes_late > 200)::double as label
  from '{features}' as f join orders as o using (order_id)
  where o.minutes_late is not null and o.amount > 1
  order by f.ordered_at, order_id
) to '{target}'
"""
BLOCKS = [
    {
        "kind": "expression",
        "columns": {
            "sold_by": "channel",
            "log_amount": "ln(amount + 1)",
            "weekday": "isodow(ordered_at::timestamp)",
        },
    },
    {
        "kind": "as_of",
        "table": "raw.stock",
        "on": {"store": "store"},
        "within": "12 hours",
        "columns": {"stock": "stock"},
    },
    {
        "kind": "lookup",
        "table": "raw.customers",
        "on": {"customer": "customer"},
        "columns": {"customer_age": "age", "customer_tier": "tier"},
    },
    {"kind": "expression", "columns": {"age_months": "customer_age * 12"}},
    {
        "kind": "window",
        "table": "raw.orders",
        "on": {"store": "store"},
        "window": "7 days",
        "delay": "1 day",
        "columns": {"store_mean_late": "avg(minutes_late)", "store_orders": "count(*)"},
    },
    {
        "kind": "window",
        "table": "raw.orders",
        "on": {"customer": "customer"},
        "window": "30 days",
        "columns": {"customer_spent": "max(amount)"},
    },
]


def _manifest() -> Manifest:
    def source(name: str, key: list[str], event_timestamp: str | None = None) -> ParquetSource:
        return ParquetSource(name=name, kind="parquet", path="x", key=key, event_timestamp=event_timestamp)

    sources = {
        "orders": source("orders", ["order_id"], "ordered_at"),
        "customers": source("customers", ["customer"]),
        "stock": source("stock", ["store", "counted_at"], "counted_at"),
    }
    features = FeatureSetSpec.model_validate({"name": "order_facts", "spine": "raw.orders", "features": BLOCKS})
    model = ModelSpec.model_validate(
        {
            "name": "late",
            "kind": "xgboost",
            "task": "binary",
            "feature_set": "order_facts",
            "target": {"sql": "minutes_late > 200", "exclude": "amount <= 1"},
            "training": {"window": "12 months", "holdout": "1 month"},
            "promotion": {"metric": "roc_auc"},
        }
    )
    return Manifest(root=".", sources=sources, feature_sets={"order_facts": features}, models={"late": model})


def _by_book(connection: duckdb.DuckDBPyConnection, kept: str, target: str) -> None:
    manifest = _manifest()
    backend = ibis.duckdb.from_connection(connection)
    tables = {f"raw.{name}": backend.table(name) for name in manifest.sources}
    spec = manifest.feature_sets["order_facts"]
    features = build_features(spec, manifest=manifest, tables=tables, window=None)
    connection.execute(f"copy ({features.compile()}) to '{kept}'")
    features = backend.read_parquet(kept)
    labelled = labels(manifest.models["late"], tables["raw.orders"], manifest=manifest)
    frame = training_frame(features, labelled, key=["order_id"], event_timestamp="ordered_at", window=None)
    connection.execute(f"copy ({frame.compile()}) to '{target}'")


def _side(side: str, folder: Path) -> None:
    """Run one side in this process; print seconds and peak memory as JSON."""
    connection = duckdb.connect(config={"threads": THREADS, "temp_directory": str(folder / f"spill-{side}")})
    connection.execute("SET TimeZone = 'UTC'")
    for name in ("orders", "customers", "stock"):
        connection.execute(f"create view {name} as from '{folder / name}.parquet'")
    target = str(folder / f"{side}.parquet")
    start, cpu = time.perf_counter(), time.process_time()
    kept = str(folder / f"{side}-features.parquet")
    if side == "book":
        _by_book(connection, kept, target)
    else:
        connection.execute(FEATURES_BY_HAND.format(target=kept))
        connection.execute(FRAME_BY_HAND.format(features=kept, target=target))
    measured = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({**measured, "peak_mb": peak_memory()}))


def _differences(folder: Path) -> int:
    """Return how many rows of the two results differ, position by position."""
    connection = duckdb.connect(config={"threads": THREADS})
    results = [f"(select row_number() over () as n, * from '{folder}/{side}.parquet')" for side in ("book", "hand")]
    names = [row[0] for row in connection.execute(f"describe from '{folder}/hand.parquet'").fetchall()]
    same = " and ".join(f'a."{name}" is not distinct from b."{name}"' for name in names)
    query = f"select count(*) from {results[0]} as a full join {results[1]} as b using (n) where not ({same})"
    found = connection.execute(query).fetchall()
    return int(found[0][0])


def run(rows: int, *, rounds: int = 1) -> dict[str, object]:
    """Return seconds, CPU seconds and peak memory (MB) of both sides, the ratio of seconds, and rows that differ.

    Of several rounds, in turns, the fastest of each side counts: whatever else runs only ever slows one down.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        connection = duckdb.connect(config={"threads": THREADS})
        for table, query in (("orders", ORDERS), ("customers", CUSTOMERS), ("stock", STOCK)):
            connection.execute(f"copy ({query.format(rows=rows)}) to '{folder / table}.parquet'")
        connection.close()
        measured: dict[str, list[dict[str, float]]] = {"book": [], "hand": []}
        for _ in range(rounds):
            for side, results in measured.items():
                command = [sys.executable, __file__, side, name]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
                results.append(json.loads(done.stdout))
        best = {side: min(results, key=lambda result: result["seconds"]) for side, results in measured.items()}
        ratio = best["book"]["seconds"] / best["hand"]["seconds"]
        cpu = best["book"]["cpu_seconds"] / best["hand"]["cpu_seconds"]
        return {"rows": rows, **best, "ratio": ratio, "cpu_ratio": cpu, "rows_that_differ": _differences(folder)}


if __name__ == "__main__":
    if sys.argv[1] in {"book", "hand"}:
        _side(sys.argv[1], Path(sys.argv[2]))
    else:
        print(json.dumps(run(int(sys.argv[1]), rounds=int(sys.argv[2]) if len(sys.argv) > 2 else 1), indent=2))

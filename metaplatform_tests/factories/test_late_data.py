"""Late files, corrections and rows that a look-ahead waits for: in the end all is what pandas makes of all files."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metaplatform.factories.mount import STANDALONE
from metaplatform.resources.delta.delta_partitions import PartitionState
from metaplatform_tests.small_project import SmallProject, dagster_unsynced, moment

BOOK = """
sources:
  orders:
    kind: csv
    path: data/orders/*.csv
    columns: {id: bigint, customer: varchar, at: timestamptz, amount: bigint}
    key: [id]
    event_timestamp: at
    partitions: {every: day, start: 2024-01-01}
  returns:
    kind: csv
    path: data/returns/*.csv
    columns: {id: bigint, at: timestamptz}
    event_timestamp: at
    partitions: {every: day, start: 2024-01-01}
  rates:
    kind: csv
    path: data/rates.csv
    columns: {customer: varchar, since: timestamptz, rate: bigint}
    event_timestamp: since
tables:
  labelled:
    sql: >
      select o.*, exists (select 1 from raw.returns r where r.id = o.id and r.at > o.at
                          and r.at <= o.at + interval 2 day) as came_back
      from raw.orders o
    partitioned_by: raw.orders
    look_ahead: 2 days
    key: [id]
    event_timestamp: at
    outcomes: {columns: [came_back], delay: 2 days}
  returned_whenever:
    sql: select o.id, count(r.id) as returns from raw.orders o left join raw.returns r using (id) group by o.id
    partitioned_by: raw.orders
    key: [id]
  total: {sql: select sum(amount) as amount from raw.orders}
feature_sets:
  facts:
    spine: tables.labelled
    features:
      - {kind: window, table: raw.orders, on: {customer: customer}, window: 2 days,
         columns: {orders: count(*), amount: sum(amount)}}
      - {kind: as_of, table: raw.rates, on: {customer: customer}, within: 3 days, columns: {rate: rate}}
outputs:
  facts_file: {kind: csv, table: features.facts}
"""
DAYS = [f"2024-01-{day:02}" for day in range(1, 7)]
NOW = moment("2024-02-01")
BY_HAND = ("raw.orders", "tables.labelled", "tables.returned_whenever", "features.facts", "outputs.facts_file")


def orders() -> pd.DataFrame:
    random, count = np.random.default_rng(3), 120
    hours = np.sort(random.integers(0, 24 * len(DAYS), count))
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(hours, unit="h")
    customers = random.choice(list("abc"), count)
    return pd.DataFrame({"id": range(count), "customer": customers, "at": at, "amount": random.integers(1, 9, count)})


def returns(of: pd.DataFrame) -> pd.DataFrame:
    random = np.random.default_rng(4)
    some = of.sample(frac=0.5, random_state=5)
    at = some["at"] + pd.to_timedelta(random.integers(1, 24 * 4, len(some)), unit="h")
    return pd.DataFrame({"id": some["id"], "at": at})


def rates() -> pd.DataFrame:
    since = pd.date_range("2023-12-31", periods=9, freq="D", tz="UTC") + pd.Timedelta(minutes=30)
    return pd.DataFrame(
        [(who, at, n * 10 + m) for m, who in enumerate("abc") for n, at in enumerate(since)],
        columns=["customer", "since", "rate"],
    )


class Shop(SmallProject):
    """The project, and what pandas makes of the files that have come."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, BOOK)
        self.orders, self.rates, self.came = orders(), rates(), dict[str, set[str]]()
        self.returns = returns(self.orders)

    def come(self, name: str, *days: str) -> None:
        rows = getattr(self, name)
        for day in days:
            self.put(f"data/{name}/{day}.csv", rows[rows["at"].dt.strftime("%Y-%m-%d") == day])
            self.came.setdefault(name, set()).add(day)

    def come_rates(self, rows: pd.DataFrame) -> None:
        self.put("data/rates.csv", rows)
        self.rates = rows

    def held(self, name: str) -> pd.DataFrame:
        rows: pd.DataFrame = getattr(self, name)
        return rows[rows["at"].dt.strftime("%Y-%m-%d").isin(self.came[name])]

    def right_facts(self) -> pd.DataFrame:
        held, given = self.held("orders"), self.held("returns").set_index("id")["at"]
        rows = []
        for order in held.itertuples():
            mine = held[(held["customer"] == order.customer) & (held["at"] < order.at)]
            lately = mine[mine["at"] >= order.at - pd.Timedelta(days=2)]["amount"]
            known = self.rates[(self.rates["customer"] == order.customer) & (self.rates["since"] < order.at)]
            young = known[known["since"] >= order.at - pd.Timedelta(days=3)]
            back = given.get(order.id)
            came_back = back is not None and order.at < back <= order.at + pd.Timedelta(days=2)
            amount = float(lately.sum()) if len(lately) else None
            rows.append((order.id, len(lately), amount, young["rate"].iloc[-1] if len(young) else None, came_back))
        return pd.DataFrame(rows, columns=["id", "orders", "amount", "rate", "came_back"])

    def assert_right(self) -> None:
        right = self.right_facts()
        facts = self.rows("features.facts", "id")
        for name in ("id", "orders", "amount", "rate"):
            np.testing.assert_array_equal(facts[name].to_numpy(float), right[name].to_numpy(float), err_msg=name)
        assert self.rows("tables.labelled", "id")["came_back"].tolist() == right["came_back"].tolist()
        whenever = self.rows("tables.returned_whenever", "id")
        held = set(self.held("returns")["id"])
        assert whenever["returns"].tolist() == [int(each in held) for each in right["id"]]
        assert self.rows("tables.total")["amount"].tolist() == [self.held("orders")["amount"].sum()]
        files = sorted((self.deployment.root / "exports").rglob("*.csv"))
        written = pd.concat([pd.read_csv(path) for path in files if path.stat().st_size]).sort_values("id")
        assert written["orders"].tolist() == right["orders"].tolist()
        assert self.stale() == {}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path).at_work() as shop:
        assert isinstance(shop, Shop)
        yield shop


def made_since(before: Mapping[str, PartitionState], now: Mapping[str, PartitionState]) -> set[str]:
    """Return the partitions of other content; files may be cut otherwise, where others have been made again."""
    return {key for key, state in now.items() if key not in before or before[key].content != state.content}


def test_whatever_comes_late_ends_in_the_same_tables(shop: Shop) -> None:
    early = [day for day in DAYS if day != "2024-01-03"]
    shop.come("orders", *early)
    shop.come("returns", *DAYS)
    shop.come_rates(shop.rates[shop.rates["since"] < "2024-01-05"])
    shop.play(NOW)
    shop.assert_right()

    history = {ref: dict(shop.warehouse.partitions(ref)) for ref in ("features.facts", "tables.labelled")}
    shop.come("orders", "2024-01-03")
    shop.make(*BY_HAND, partition="2024-01-03", now=NOW)
    stale = shop.stale()
    assert stale["features.facts"] == ("2024-01-04", "2024-01-05"), "the plan knows what the loop is going to do"
    assert stale["tables.total"] == ("",)
    assert "tables.labelled" not in stale
    unsynced = {("features.facts", "2024-01-04"), ("features.facts", "2024-01-05")}
    assert dagster_unsynced(shop) == unsynced, "and Dagster says so of all that whole partitions can tell"
    assert shop.conductor is not None
    graph = shop.conductor.definitions.get_repository_def().asset_graph
    assert "new rows of raw.rates" in graph.get(STANDALONE.key("features.facts")).metadata["not_followed"]
    assert "new rows of raw.orders" in graph.get(STANDALONE.key("tables.total")).metadata["not_followed"]
    assert "not_followed" not in graph.get(STANDALONE.key("tables.labelled")).metadata
    told = shop.play(NOW)
    shop.assert_right()
    shop.make("raw.orders", partition="2024-01-03", now=NOW)
    assert shop.stale() == {}
    assert dagster_unsynced(shop) == set(), "the same rows once more are no new data"
    assert "features.facts made of other rows than there are now for 2024-01-04" in " | ".join(told)
    now = shop.warehouse.partitions("features.facts")
    changed = made_since(history["features.facts"], now)
    assert changed == {"2024-01-03", "2024-01-04", "2024-01-05"}, "two days look back on it, history beyond stays"
    assert made_since(history["tables.labelled"], shop.warehouse.partitions("tables.labelled")) == {"2024-01-03"}

    shop.come_rates(rates())
    shop.play(NOW)
    shop.assert_right()
    later = made_since(now, shop.warehouse.partitions("features.facts"))
    assert later == {"2024-01-05", "2024-01-06"}, "rates of before are what they were"
    assert shop.play(NOW) == []


def test_labels_that_look_ahead_are_made_again_as_the_rows_come(shop: Shop) -> None:
    shop.come_rates(shop.rates)
    for day in DAYS[:4]:
        shop.come("orders", day)
        shop.come("returns", day)
        if day > DAYS[1]:
            shop.play(moment(day) + pd.Timedelta(days=1, hours=1))
            shop.assert_right()
    assert 0 < shop.right_facts()["came_back"].mean() < 1

"""Plan and Dagster call the same things stale: what other rows reach, and nothing by versions that come and go."""

from pathlib import Path

import pandas as pd

from metaplatform.resources.storage.ledger import Ledger
from metaplatform.specs.records.ledger import Promotion
from metaplatform_tests.factories.test_keys import ACCOUNTS, accounts
from metaplatform_tests.small_project import SmallProject, dagster_unsynced, moment

BOOK = ACCOUNTS.replace(
    "feature_sets:\n  sizes: {spine: raw.accounts, features: [",
    """\
  visits:
    kind: csv
    path: visits/*.csv
    columns: {account: "decimal(20, 0)", at: timestamptz}
    event_timestamp: at
    partitions: {every: day, start: 2024-01-05}
tables:
  visited: {sql: "select account, count(*) as visits from raw.visits group by account", key: [account]}
feature_sets:
  sizes: {spine: raw.accounts, features: [
    {kind: lookup, table: tables.visited, on: {account: account}, columns: {visits: visits}},
    {kind: as_of, table: raw.visits, on: {account: account}, columns: {last: at}}, """,
)
WHOLE = """
sources:
  prices: {kind: csv, path: prices.csv, columns: {product: varchar, price: bigint}}
tables:
  dearest: {sql: select max(price) as price from raw.prices}
outputs:
  list: {kind: csv, table: raw.prices}
  dearest: {kind: parquet, table: tables.dearest}
"""


def test_a_refused_challenger_makes_nothing_unsynced(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, BOOK)
    first = accounts("2024-01", 0)["account"].iloc[0]
    for day in ("2024-01-05", "2024-02-05"):
        project.put(f"visits/{day}.csv", pd.DataFrame({"account": [first], "at": [f"{day}T00:00:00Z"]}))
    for number, month in enumerate(("2024-01", "2024-02", "2024-03")):
        project.put(f"data/{month}.csv", accounts(month, number * 1_000))
    with project.at_work():
        project.play(moment("2024-02-03"))
        project.play(moment("2024-03-05"))
        assert project.stale() == {}
        assert dagster_unsynced(project) == set()
        project.make("models.leaving", now=moment("2024-03-05"))
    assert [verdict.outcome for verdict in Ledger(project.warehouse).read(Promotion)] == ["promoted", "kept"]
    assert project.stale() == {}
    assert dagster_unsynced(project) == set()


def test_other_rows_without_partitions_make_unsynced_who_reads_all_of_them_and_the_same_rows_nobody(
    tmp_path: Path,
) -> None:
    project = SmallProject(tmp_path, WHOLE)
    project.put("prices.csv", pd.DataFrame({"product": ["a", "b"], "price": [1, 2]}))
    with project.at_work():
        project.play(moment("2024-02-03"))
        project.make("raw.prices", now=moment("2024-02-04"))
        assert project.stale() == {}
        assert dagster_unsynced(project) == set()
        project.put("prices.csv", pd.DataFrame({"product": ["a", "b"], "price": [1, 3]}))
        project.make("raw.prices", now=moment("2024-02-04"))
        assert project.stale() == {"tables.dearest": ("",), "outputs.list": ("",), "outputs.dearest": ("",)}
        assert dagster_unsynced(project) == {("tables.dearest", ""), ("outputs.list", "")}, "of what is read itself"
        project.make("tables.dearest", "outputs.list", now=moment("2024-02-04"))
        assert project.stale() == {"outputs.dearest": ("",)}
        assert dagster_unsynced(project) == {("outputs.dearest", "")}

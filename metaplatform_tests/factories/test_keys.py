"""A key is sacred: what identifies a row is never converted, repeats are refused, and no join multiplies rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from metaplatform.cli import commands
from metaplatform.errors import MetaplatformError
from metaplatform.planning.state import plan_of
from metaplatform_tests.small_project import SmallProject, moment

ACCOUNTS = """
sources:
  accounts:
    kind: csv
    path: data/*.csv
    columns: {account: "decimal(20, 0)", part: "decimal(4, 2)", opened_at: timestamptz, size: double, left: boolean}
    key: [account, part]
    event_timestamp: opened_at
    partitions: {every: month, start: 2024-01}
    outcomes: {columns: [left], delay: 1 day}
feature_sets:
  sizes: {spine: raw.accounts, features: [{kind: expression, columns: {size: size, rest: "size::decimal(9,2)"}}]}
models:
  leaving:
    kind: xgboost
    task: binary
    feature_set: sizes
    target: {sql: left}
    training: {window: 2 months, holdout: 10 days, min_rows: 50, rounds: 10, refit: false}
    promotion: {metric: roc_auc, min_rows: 20}
    retrain: {cooldown: 1 year, first_after: 1 month}
predictions:
  leavers: {model: leaving, keep: [size]}
"""


def accounts(month: str, first: int) -> pd.DataFrame:
    """Return rows whose accounts a double cannot tell apart, and a target that their size decides."""
    random, count = np.random.default_rng(first), 240
    days = np.arange(count) % 28 + 1
    size = random.random(count).round(3)
    return pd.DataFrame(
        {
            "account": [f"{12_345_678_901_234_500_000 + first + number // 2}" for number in range(count)],
            "part": [f"0.{number % 2 + 1}" for number in range(count)],
            "opened_at": [f"{month}-{day:02}T12:00:00Z" for day in days],
            "size": size,
            "left": size > 0.5,
        }
    )


def test_keys_that_a_double_cannot_hold_stay_what_they_are_from_the_source_to_the_scores(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, ACCOUNTS)
    for number, month in enumerate(("2024-01", "2024-02")):
        project.put(f"data/{month}.csv", accounts(month, number * 1_000))
    with project.at_work():
        project.play(moment("2024-02-03"))
        project.play(moment("2024-03-05"))
    key = ["account", "part"]
    raw = project.rows("raw.accounts", *key)
    assert len(raw) == len(raw.groupby(key)) == 480
    for ref in ("features.sizes", "predictions.leavers"):
        made = project.rows(ref, *key)
        stored = raw if ref.startswith("features") else raw[raw["_partition"].isin(set(made["_partition"]))]
        assert made[key].to_numpy().tolist() == stored[key].to_numpy().tolist(), ref
    scored = project.rows("predictions.leavers", *key)
    clear = (scored["size"] - 0.5).abs() > 0.05
    assert ((scored["size"] > 0.5) == (scored["probability"] > 0.5))[clear].all(), "each row has its own features"
    learnt = project.registry.load("leaving", 1)
    counts = (learnt.lineage.training_rows, learnt.lineage.validation_rows, learnt.lineage.holdout_rows)
    assert sum(counts) == 240, "a label for each row, and a row for each label"
    assert learnt.metrics["roc_auc"] > 0.99
    assert project.rows("features.sizes")["rest"].dtype == np.float64, "a feature is a number the model takes"


def test_a_root_whose_keys_an_earlier_release_made_doubles_is_made_again_by_apply(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, ACCOUNTS.partition("models:")[0])
    project.put("data/2024-01.csv", accounts("2024-01", 0))
    with project.at_work():
        project.play(moment("2024-02-03"))
        doubles = {"account": pa.float64(), "part": pa.float64()}
        project.warehouse.retype("features.sizes", doubles, metadata={})
        project.put("data/2024-02.csv", accounts("2024-02", 1_000))
        with pytest.raises(
            MetaplatformError, match=r"column 'account' is double in the table.*or remove the table's fol"
        ):
            project.play(moment("2024-03-05"))
    (change,) = (found for found in plan_of(project.manifest, project.deployment).work if found.ref == "features.sizes")
    assert change.reasons == ("its key has another type than in raw.accounts",)
    places = ["--book", str(project.deployment.book), "--root", str(project.deployment.root)]
    applied = CliRunner().invoke(commands.app, ["apply", "--yes", *places])
    assert applied.exit_code == 0, (applied.output, applied.exception)
    key = ["account", "part"]
    made = {ref: project.rows(ref, *key)[key].to_numpy().tolist() for ref in ("raw.accounts", "features.sizes")}
    assert made["features.sizes"] == made["raw.accounts"]
    assert len(made["raw.accounts"]) == 480
    assert "features.sizes" not in {found.ref for found in plan_of(project.manifest, project.deployment).work}


LINES = """
sources:
  lines:
    kind: csv
    path: data/*.csv
    columns: {order_id: bigint, line: bigint, at: timestamptz, amount: double}
    key: [order_id, line]
    event_timestamp: at
    partitions: {every: day, start: 2024-01-01}
tables:
  orders:
    sql: select order_id, at, amount from raw.lines
    partitioned_by: raw.lines
    key: [order_id]
    event_timestamp: at
  customers:
    sql: select nullif(order_id, 3) as customer, at from raw.lines where line = 1
    key: [customer]
feature_sets:
  facts: {spine: tables.orders, features: [{kind: expression, columns: {amount: amount}}]}
"""
NOW = moment("2024-01-09")


def lines(*rows: tuple[int, int, str]) -> pd.DataFrame:
    found = [(order, line, f"2024-01-{day}T10:00:00Z", float(order)) for order, line, day in rows]
    return pd.DataFrame(found, columns=["order_id", "line", "at", "amount"])


def test_a_table_whose_key_repeats_is_blocked_with_examples_and_what_was_stored_stays(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, LINES)
    project.put("data/a.csv", lines((1, 1, "01"), (2, 1, "01")))
    with project.at_work():
        project.make("raw.lines", "tables.orders", partition="2024-01-01", now=NOW)
        project.put("data/a.csv", lines((1, 1, "01"), (1, 2, "01"), (2, 1, "01")))
        with pytest.raises(MetaplatformError, match=r"key \(order_id\).*1 keys repeat.*order_id = 1 in 2 rows"):
            project.make("raw.lines", "tables.orders", "features.facts", partition="2024-01-01", now=NOW)
    assert project.rows("tables.orders")["order_id"].tolist() == [1, 2]
    assert not project.warehouse.exists("features.facts")


def test_a_key_that_another_partition_has_is_a_repeated_key(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, LINES)
    project.put("data/a.csv", lines((1, 1, "01"), (1, 2, "02"), (2, 1, "02")))
    with project.at_work():
        project.make("raw.lines", "tables.orders", partition="2024-01-01", now=NOW)
        with pytest.raises(MetaplatformError, match="order_id = 1 in partition 2024-01-01 too"):
            project.make("raw.lines", "tables.orders", partition="2024-01-02", now=NOW)
        project.make("tables.orders", partition="2024-01-01", now=NOW)


def test_a_null_in_a_key_identifies_nothing(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, LINES)
    project.put("data/a.csv", lines((3, 1, "01"), (4, 1, "01")))
    with project.at_work():
        project.make("raw.lines", partition="2024-01-01", now=NOW)
        with pytest.raises(MetaplatformError, match="customer = null in 1 rows"):
            project.make("tables.customers", now=NOW)

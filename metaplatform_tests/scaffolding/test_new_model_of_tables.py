"""A new model of an SQL table validates, trains and scores: a query makes its label, features come of tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metaplatform.errors import DataError
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.features import LookupFeatures
from metaplatform.specs.loading import read_book
from metaplatform_tests.scaffolding.asking import ask
from metaplatform_tests.small_project import SmallProject, moment

BOOK = """\
spec_version: 2
sources:
  orders:
    kind: csv
    path: data/orders.csv
    columns: {nr: bigint, buyer: varchar, at: timestamp, price: double, sent: double}
    derive: {cheap: price < 20}
    key: [nr]
    event_timestamp: at
    partitions: {every: month, start: 2024-01}
  buyers:
    kind: csv
    path: data/buyers.csv
    columns: {buyer: varchar, age: bigint, land: varchar}
    key: [buyer]
tables:
  judged:
    sql: |
      with seen as (select nr, buyer, at, price, sent - 2 as left_over from raw.orders)
      select nr, buyer, at, price, left_over, left_over < 1 as late from seen
    key: [nr]
    event_timestamp: at
    partitioned_by: raw.orders
"""
OTHERS = """\
  days:
    sql: select buyer, date_trunc('day', at) as day, sum(price) as spent from raw.orders group by all
    key: [buyer, day]
    event_timestamp: day
  means:
    sql: select buyer, avg(price) as usual from raw.orders group by all
    key: [buyer]
  everything:
    sql: select * from raw.orders
"""


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return shop(tmp_path, BOOK.replace("    partitioned_by: raw.orders\n", "") + OTHERS)


def shop(folder: Path, book: str) -> SmallProject:
    made = SmallProject(folder, book)
    random, rows = np.random.default_rng(3), 480
    ages = pd.Series(random.integers(18, 80, 40))
    buyers = random.integers(0, 40, rows)
    price = random.gamma(3, 10, rows).round(2)
    made.put("data/buyers.csv", pd.DataFrame({"buyer": [f"b{n}" for n in range(40)], "age": ages, "land": "DE"}))
    orders = {
        "nr": np.arange(rows),
        "buyer": [f"b{n}" for n in buyers],
        "at": pd.date_range("2024-01-01", periods=rows, freq="3h"),
        "price": price,
        "sent": ages[buyers].to_numpy() / 16 + random.normal(0, 0.5, rows),
    }
    made.put("data/orders.csv", pd.DataFrame(orders))
    return made


def with_model(project: SmallProject, target: str, table: str) -> Manifest:
    ask("model", "late", "--target", target, "--table", table, "--book", str(project.deployment.book))
    manifest, issues = read_book(project.deployment.book)
    assert [str(issue) for issue in issues if issue.rule != "unused"] == []
    assert manifest is not None
    return manifest


def test_a_model_of_a_table_trains_and_scores_with_features_of_other_tables(tmp_path: Path) -> None:
    project = shop(tmp_path, BOOK)
    manifest = with_model(project, "late", "tables.judged")
    assert manifest.models["late"].target.sql == "late"
    own, *joined = manifest.feature_sets["late_features"].features
    assert set(own.columns) == {"weekday", "buyer", "price"}
    assert [(type(block), block.table) for block in joined] == [(LookupFeatures, "raw.buyers")]
    with project.at_work():
        january, february = moment("2024-02-02"), moment("2024-03-04")
        rows = ("raw.orders", "tables.judged", "features.late_features")
        project.make("raw.buyers", now=january)
        project.make(*rows, partition="2024-01", now=january)
        project.make("models.late", now=january)
        project.make(*rows, "predictions.late_predictions", partition="2024-02", now=february)
    scored = project.rows("predictions.late_predictions")
    assert len(scored) > 100
    assert scored["probability"].nunique() > 10


def test_what_the_target_is_made_of_is_no_feature_and_no_table_made_of_its_rows_is_joined(
    project: SmallProject,
) -> None:
    with_model(project, "late", "tables.judged")
    text = (project.deployment.book / "late.yaml").read_text(encoding="utf-8")
    assert "# left_over is left out: the target is made of it" in text
    assert "# Not joined, as they may tell the target: raw.orders, tables.days, tables.means" in text


def test_a_model_of_a_derived_column_is_told_by_its_values(project: SmallProject) -> None:
    manifest = with_model(project, "cheap", "raw.orders")
    assert (manifest.models["late"].task, manifest.models["late"].target.sql) == ("binary", "cheap")
    assert set(manifest.feature_sets["late_features"].features[0].columns) == {"weekday", "buyer", "sent"}


@pytest.mark.parametrize(
    ("target", "table", "said"),
    [
        ("late", "tables.judge", "did you mean 'tables.judged'"),
        ("usual", "tables.means", "declares no event_timestamp"),
        ("price", "tables.everything", "declares no key and no event_timestamp"),
    ],
)
def test_a_table_without_key_or_time_is_refused(project: SmallProject, target: str, table: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ask("model", "late", "--target", target, "--table", table, "--book", str(project.deployment.book))


def test_a_feature_set_over_a_table_leaves_out_texts_of_many_values_told_by_its_rows(project: SmallProject) -> None:
    book = project.deployment.book / "book.yaml"
    named = book.read_text(encoding="utf-8").replace(
        "select nr, buyer, at", "select nr, 'no ' || nr as word, buyer, at"
    )
    book.write_text(named.replace("(select nr, 'no ' || nr as word, buyer", "(select nr, buyer"), encoding="utf-8")
    printed = ask("feature-set", "facts", "--spine", "tables.judged", "--book", str(book.parent), "--print")
    assert "# word is left out: text of 480 different values" in printed
    assert "raw.buyers" in printed

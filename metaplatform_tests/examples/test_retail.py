"""The retail example: its label is honest, its loop closes, its buyers get a fresh report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.loading import read_book
from metaplatform.specs.records.ledger import Action, Arrival, Decision, Promotion
from metaplatform_tests.examples.making import EXAMPLES, make_data, replay

DAYS = 22
PRODUCTS = 60
CUT = "2024-03-09"
"""A morning: nothing of this day is known, and of the days before only what had been counted by then."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data("retail", tmp_path_factory.mktemp("retail"), days=DAYS, products=PRODUCTS)


@pytest.fixture(scope="module")
def replayed(project: Path) -> tuple[Path, Mapping[str, Any]]:
    root = project / "storage"
    return root, replay(project, root)


def table(root: Path, ref: str) -> list[dict[str, Any]]:
    with Warehouse(root=str(root)).session() as session:
        found: list[dict[str, Any]] = session.stream(session.table(ref)).read_all().to_pylist()
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_book_is_sound_without_a_warning() -> None:
    assert read_book(EXAMPLES / "retail" / "metadata")[1] == ()


def test_everything_says_that_it_is_synthetic() -> None:
    manifest, _ = read_book(EXAMPLES / "retail" / "metadata")
    assert manifest is not None
    assert {entity.tags.get("data") for entity in manifest.entities.values()} == {"synthetic"}
    assert all("Synthetic." in source.description for source in manifest.sources.values())
    for name in ("README.md", "make_data.py"):
        assert "synthetic" in (EXAMPLES / "retail" / name).read_text(encoding="utf-8").lower()


def test_the_same_arguments_give_the_same_data_and_an_earlier_day_the_same_past(project: Path, tmp_path: Path) -> None:
    again = make_data("retail", tmp_path / "again", days=DAYS, products=PRODUCTS)
    assert contents(again / "data") == contents(project / "data")
    earlier = make_data("retail", tmp_path / "earlier", days=DAYS, products=PRODUCTS, until="2024-03-21")
    sales = contents(earlier / "data" / "sales")
    assert sorted(sales) == sorted(contents(project / "data" / "sales"))[:20]
    assert all(contents(project / "data" / "sales")[name] == text for name, text in sales.items())


def test_the_label_is_what_later_counts_say_and_unknown_until_then(project: Path) -> None:
    sheets = duckdb.read_csv(str(project / "data" / "inventory" / "*.csv"))
    judged = sheets.query(
        "sheets",
        """
        with counts as (select product, counted_at::date as day, on_hand, ran_out from sheets)
        select c.day, c.ran_out, bool_or(later.on_hand = 0) as found, count(later.day) as days
        from counts as c left join counts as later
          on later.product = c.product and later.day between c.day + 1 and c.day + 5
        group by c.product, c.day, c.ran_out
        """,
    ).fetchall()
    assert {ran_out for _, ran_out, _, days in judged if days < 5} == {None}
    known = [(ran_out, found) for _, ran_out, found, days in judged if days == 5]
    assert [ran_out for ran_out, _ in known] == [found for _, found in known]
    share = sum(ran_out for ran_out, _ in known) / len(known)
    assert 0.05 < share < 0.5


def test_a_model_learns_is_retrained_for_drift_and_judged(replayed: tuple[Path, Mapping[str, Any]]) -> None:
    root, result = replayed
    live = [row["live"] for row in result["rows"] if row["live"] is not None]
    assert sum(live) / len(live) > 0.6
    ledger = Ledger(Warehouse(root=str(root)))
    fired = ledger.read(Decision, model="stockout", outcome="retrain")
    assert any("drift" in decision.trigger for decision in fired)
    answered = {promotion.promotion_id for promotion in ledger.read(Promotion)}
    assert answered == {each.decision_id for each in fired}


def test_the_reaction_acts_once_for_each_day_and_version_that_calls_for_it(
    replayed: tuple[Path, Mapping[str, Any]],
) -> None:
    root, _ = replayed
    called = {
        (row["_partition"], row["model_version"])
        for row in table(root, "predictions.stockouts__history")
        if row["probability"] > 0.5
    }
    actions = Ledger(Warehouse(root=str(root))).read(Action)
    acted = [(action.partition, action.model_version) for action in actions]
    assert len(acted) == len(set(acted))
    assert set(acted) == called
    lines = (root / "notifications" / "buy_in_time.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(acted)


def test_the_reaction_pulls_stock_levels_and_terms_anew(replayed: tuple[Path, Mapping[str, Any]]) -> None:
    ledger = Ledger(Warehouse(root=str(replayed[0])))
    runs = {action.run_id for action in ledger.read(Action)}
    for source in ("stock_levels", "supplier_terms"):
        assert runs <= {arrival.run_id for arrival in ledger.read(Arrival, source=source)}


def test_the_report_holds_what_will_run_out_with_stock_newer_than_what_was_scored(
    replayed: tuple[Path, Mapping[str, Any]], project: Path
) -> None:
    root, _ = replayed
    scored = table(root, "predictions.stockouts")
    report = table(root, "outputs.purchase_report")
    at_risk = {(row["_partition"], row["product"]) for row in scored if row["probability"] > 0.5}
    assert {(row["_partition"], row["product"]) for row in report} == at_risk
    assert at_risk
    feed = duckdb.read_csv(str(project / "data" / "stock_levels.csv")).fetchall()
    levels = {(product, measured): stock for product, measured, stock in feed}
    counted = {(row["_partition"], row["product"]): row["counted_at"] for row in scored}
    for row in report:
        measured = row["stock_measured_at"]
        assert measured > counted[row["_partition"], row["product"]]
        assert row["stock"] == levels[row["product"], measured.replace(tzinfo=None)]
        assert row["suggested_quantity"] >= 0
        assert (row["cost"] > 0) == (row["suggested_quantity"] > 0)
    page = (root / "reports" / "purchase_report" / f"{report[0]['_partition']}.html").read_text(encoding="utf-8")
    assert report[0]["product"] in page
    assert "synthetic" in page


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, Any]]:
    """Replay what is known on the morning of the cut: no later day is there, and no outcome that came later."""
    project = make_data("retail", tmp_path_factory.mktemp("known"), days=DAYS, products=PRODUCTS, until=CUT)
    return project / "storage", replay(project, project / "storage", "--until", CUT)


def test_features_know_nothing_of_later_days_or_outcomes(
    replayed: tuple[Path, Mapping[str, Any]], known: tuple[Path, Mapping[str, Any]]
) -> None:
    then, later = (
        sorted(
            json.dumps(row, default=str, sort_keys=True)
            for row in table(root, "features.stock_features")
            if row["_partition"] < CUT
        )
        for root in (known[0], replayed[0])
    )
    assert len(then) == 8 * PRODUCTS
    assert then == later

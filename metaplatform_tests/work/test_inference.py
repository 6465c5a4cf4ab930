"""Who scores which row, and what of it is kept: real tables, a real registry."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost

from metaplatform.resources.models.model_bundle import ModelBundle, TrainingLineage
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.monitoring import DriftMonitor
from metaplatform.specs.loading import load_book
from metaplatform.specs.records.encoding import FittedEncoding, FittedFeature
from metaplatform.specs.records.learnt import Learnt
from metaplatform.work.drift import judge_drift
from metaplatform.work.inference import predict
from metaplatform_tests.work.steps import registry_of, step_at

BOOK = """\
sources:
  orders:
    kind: csv
    path: data/orders.csv
    columns: {order_id: bigint, ordered_at: timestamp, amount: double, returned: boolean}
    key: [order_id]
    event_timestamp: ordered_at
    partitions: {every: month, start: 2024-01}
feature_sets:
  facts: {spine: raw.orders, features: [{kind: expression, columns: {price: amount}}]}
models:
  returns:
    kind: xgboost
    task: binary
    feature_set: facts
    target: {sql: returned}
    training: {window: 2 months, holdout: 10 days}
    promotion: {metric: roc_auc}
    label_delay: 1 day
predictions:
  likely: {model: returns}
  by_the_first: {model: returns, version: 1}
  flattering: {model: returns, in_sample: true}
monitors:
  likely_drift: {kind: drift, prediction: likely}
"""
MARCH = "2024-03"
DAYS = 31
LEARNT_UNTIL = {1: datetime(2024, 2, 10, tzinfo=UTC), 2: datetime(2024, 3, 20, tzinfo=UTC)}
NOW = datetime(2024, 4, 1, tzinfo=UTC)


def bundle(version: int) -> ModelBundle:
    random = np.random.default_rng(version)
    matrix = random.random((200, 1), dtype=np.float32) * DAYS
    data = xgboost.QuantileDMatrix(matrix, (matrix[:, 0] > 9 * version).astype(float), nthread=1)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2, "nthread": 1}, data, 3)
    until = LEARNT_UNTIL[version]
    lineage = TrainingLineage(
        trained_from=until - timedelta(days=60),
        trained_until=until,
        holdout_from=until,
        cut=until,
        training_rows=200,
        validation_rows=0,
        holdout_rows=0,
        excluded_rows=0,
        unlabelled_rows=0,
        spec_hash="",
        seed=1,
        inputs={},
    )
    encoding = FittedEncoding((FittedFeature("price", "number", "float64"),), until)
    learnt = Learnt("xgboost", {"model.ubj": bytes(booster.save_raw("ubj"))})
    return ModelBundle(learnt, encoding, "binary", "returned", lineage, {}, {})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    """Return a registry in which version 2 has taken the place of version 1."""
    folder = tmp_path_factory.mktemp("registry")
    registry = registry_of(folder)
    for version in LEARNT_UNTIL:
        registry.new_version("returns", bundle(version), params={}, metrics={}, tags={})
        registry.promote("returns", version)
    return registry


def books(folder: Path, text: str) -> Manifest:
    (folder / "metadata").mkdir()
    (folder / "metadata" / "shop.yaml").write_text(text, encoding="utf-8")
    return load_book(folder / "metadata")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return books(tmp_path, BOOK)


@pytest.fixture
def whole(tmp_path: Path) -> Manifest:
    """Return the same book without partitions."""
    return books(tmp_path, BOOK.replace("    partitions: {every: month, start: 2024-01}\n", ""))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(root=str(tmp_path / "root"), threads=1)


def write_orders(warehouse: Warehouse, start: datetime, days: int, partition: str | None, *, dearer: float = 0) -> None:
    """Write an order a day, its number the day of the year."""
    moments = [start + timedelta(days=day, hours=12) for day in range(days)]
    numbers = [moment.timetuple().tm_yday for moment in moments]
    columns: dict[str, Any] = {
        "order_id": numbers,
        "ordered_at": pa.array(moments, pa.timestamp("us", "UTC")),
        "price": [float(number % DAYS) + dearer for number in numbers],
    }
    warehouse.replace("features.facts", pa.table(columns), partition=partition, metadata={})


Scoring = Callable[..., None]


@pytest.fixture
def scoring(warehouse: Warehouse, registry: ModelRegistry) -> Scoring:
    def scored(manifest: Manifest, name: str, partition: str | None, *, by: int = 2, now: datetime = NOW) -> None:
        registry.promote("returns", by)
        ref = f"predictions.{name}"
        predict(step_at(manifest, ref, warehouse, now, partition, run_id=f"run-{now}", registry=registry))
        registry.promote("returns", 2)

    return scored


def rows_of(warehouse: Warehouse, ref: str) -> list[dict[str, Any]]:
    with warehouse.session() as session:
        return session.stream(session.table(ref).order_by("ordered_at")).read_all().to_pylist()


def versions(rows: list[dict[str, Any]]) -> Counter[int]:
    return Counter(row["model_version"] for row in rows)


def test_rows_that_the_new_champion_has_learnt_from_keep_the_score_of_the_one_before(
    manifest: Manifest, warehouse: Warehouse, scoring: Scoring
) -> None:
    write_orders(warehouse, datetime(2024, 3, 1, tzinfo=UTC), DAYS, MARCH)
    scoring(manifest, "by_the_first", MARCH)
    scoring(manifest, "likely", MARCH)
    rows = rows_of(warehouse, "predictions.likely")
    assert versions(rows) == {1: 19, 2: 12}
    assert all(row["ordered_at"] >= LEARNT_UNTIL[row["model_version"]] for row in rows)
    first = {row["order_id"]: row["probability"] for row in rows_of(warehouse, "predictions.by_the_first")}
    assert all(row["probability"] == first[row["order_id"]] for row in rows if row["model_version"] == 1)


def test_what_every_champion_has_learnt_from_has_no_prediction(
    manifest: Manifest, warehouse: Warehouse, scoring: Scoring
) -> None:
    write_orders(warehouse, datetime(2024, 2, 1, tzinfo=UTC), 29, "2024-02")
    scoring(manifest, "likely", "2024-02")
    rows = rows_of(warehouse, "predictions.likely")
    assert versions(rows) == {1: 20}
    assert min(row["ordered_at"] for row in rows) >= LEARNT_UNTIL[1]


def test_a_book_that_asks_for_scores_in_sample_gets_them(
    manifest: Manifest, warehouse: Warehouse, scoring: Scoring
) -> None:
    write_orders(warehouse, datetime(2024, 3, 1, tzinfo=UTC), DAYS, MARCH)
    scoring(manifest, "flattering", MARCH)
    assert versions(rows_of(warehouse, "predictions.flattering")) == {2: DAYS}


def test_the_history_keeps_what_each_version_said_when_another_scores_again(
    manifest: Manifest, warehouse: Warehouse, scoring: Scoring
) -> None:
    write_orders(warehouse, datetime(2024, 3, 1, tzinfo=UTC), DAYS, MARCH)
    scoring(manifest, "likely", MARCH, by=1)
    before = rows_of(warehouse, "predictions.likely__history")
    assert versions(before) == {1: DAYS}
    scoring(manifest, "likely", MARCH, now=NOW + timedelta(days=1))
    after = rows_of(warehouse, "predictions.likely__history")
    assert versions(after) == {1: DAYS, 2: 12}
    assert [row for row in after if row["model_version"] == 1] == before


def test_the_history_without_partitions_keeps_every_scoring_and_repeats_none(
    whole: Manifest, warehouse: Warehouse, scoring: Scoring
) -> None:
    start = datetime(2024, 2, 10, tzinfo=UTC)
    write_orders(warehouse, start, 5, None)
    scoring(whole, "likely", None)
    write_orders(warehouse, start, 8, None, dearer=-5.0)
    for day in (1, 2):
        scoring(whole, "likely", None, now=NOW + timedelta(days=day))
    said = Counter(row["order_id"] for row in rows_of(warehouse, "predictions.likely__history"))
    now = {row["order_id"]: row["probability"] for row in rows_of(warehouse, "predictions.likely")}
    rows = rows_of(warehouse, "predictions.likely__history")
    changed = {
        row["order_id"] for row in rows if row["scored_at"] == NOW and row["probability"] != now[row["order_id"]]
    }
    assert changed
    assert said == {order: 2 if order in changed else 1 for order in now}


def test_drift_is_judged_on_the_rows_that_the_newest_version_scored_and_where_none_has_a_score_it_says_so(
    manifest: Manifest, warehouse: Warehouse, registry: ModelRegistry, scoring: Scoring
) -> None:
    write_orders(warehouse, datetime(2024, 1, 1, tzinfo=UTC), DAYS, "2024-01")
    scoring(manifest, "likely", "2024-01")
    monitor = manifest.monitors["likely_drift"]
    assert isinstance(monitor, DriftMonitor)
    judged = judge_drift(
        step_at(manifest, "monitoring.likely_drift", warehouse, NOW, "2024-01", registry=registry), monitor
    )
    assert {finding.status for finding in judged.verdicts.values()} == {"skipped"}

"""Which score of a row counts, of whom: real tables, a real registry, and the numbers worked out by other means."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from sklearn.metrics import roc_auc_score

from metaplatform.factories.automation.state import WorkingLoop
from metaplatform.replay.results import ReplayRow
from metaplatform.replay.summary import summarise
from metaplatform.resources.models.model_bundle import ModelBundle, TrainingLineage
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.monitoring import MetricLimit, PerformanceMonitor
from metaplatform.specs.loading import load_book
from metaplatform.specs.records.encoding import FittedEncoding, FittedFeature
from metaplatform.specs.records.learnt import Learnt
from metaplatform.work.inference import predict
from metaplatform.work.performance import judge_realized
from metaplatform.work.steps import APPLY_TAG, PLAN_TAG, Step
from metaplatform_tests.work.steps import registry_of, step_at

BOOK = """\
spec_version: 2
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
  by_the_second: {model: returns, version: 2}
  by_the_third: {model: returns, version: 3}
monitors:
  likely_right: {kind: performance, prediction: likely, metrics: {roc_auc: {min: 0.1}}, min_rows: 900}
  third_right: {kind: performance, prediction: by_the_third, metrics: {roc_auc: {min: 0.1}}, min_rows: 900}
  second_right: {kind: performance, prediction: by_the_second, metrics: {roc_auc: {min: 0.1}}, min_rows: 900}
"""
MONTHS = ("2024-02", "2024-03", "2024-04")
HOURS = 12
LEARNT_UNTIL = {
    version: datetime(2024, month, day, tzinfo=UTC) for version, month, day in ((1, 2, 10), (2, 1, 20), (3, 3, 20))
}
MARCH, APRIL, MAY, JUNE = (datetime(2024, month, 1, tzinfo=UTC) for month in (3, 4, 5, 6))


def booster_of(version: int) -> bytes:
    random = np.random.default_rng(version)
    matrix = random.random((300, 1), dtype=np.float32) * 30
    data = xgboost.QuantileDMatrix(matrix, (matrix[:, 0] > 7 * version).astype(float), nthread=1)
    parameters = {"objective": "binary:logistic", "max_depth": 4, "nthread": 1}
    return bytes(xgboost.train(parameters, data, 12).save_raw("ubj"))


def bundle(version: int) -> ModelBundle:
    until = LEARNT_UNTIL[version]
    lineage = TrainingLineage(
        trained_from=until - timedelta(days=60),
        trained_until=until,
        holdout_from=until,
        cut=until,
        training_rows=300,
        validation_rows=0,
        holdout_rows=0,
        excluded_rows=0,
        unlabelled_rows=0,
        spec_hash="",
        seed=1,
        inputs={},
    )
    encoding = FittedEncoding((FittedFeature("price", "number", "float64"),), until)
    return ModelBundle(
        Learnt("xgboost", {"model.ubj": booster_of(version)}), encoding, "binary", "returned", lineage, {}, {}
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    folder = tmp_path_factory.mktemp("registry")
    registry = registry_of(folder)
    for version in LEARNT_UNTIL:
        registry.new_version("returns", bundle(version), params={}, metrics={}, tags={})
    return registry


def orders_of(month: str) -> pd.DataFrame:
    """Return two orders a day: dear ones come back more often."""
    start = pd.Timestamp(month, tz="UTC")
    at = pd.date_range(start, start + pd.offsets.MonthBegin(), freq=f"{HOURS}h", inclusive="left")
    random = np.random.default_rng(int(month[-2:]))
    amount = (random.random(len(at)) * 30).round(2)
    number = int(month[-2:]) * 1000 + np.arange(len(at))
    returned = random.random(len(at)) < 0.2 + amount / 50
    return pd.DataFrame({"order_id": number, "ordered_at": at, "amount": amount, "returned": returned})


class Shop:
    """The book over stored orders and features; versions score when they are told to."""

    def __init__(self, folder: Path, registry: ModelRegistry, book: str) -> None:
        (folder / "metadata").mkdir()
        (folder / "metadata" / "shop.yaml").write_text(book, encoding="utf-8")
        self.manifest: Manifest = load_book(folder / "metadata")
        self.root, self.registry = folder / "root", registry
        self.warehouse = Warehouse(root=str(self.root), threads=1)
        self.orders = pd.concat([orders_of(month) for month in MONTHS], ignore_index=True)
        self.whole = self.manifest.partitions("predictions.likely") is None
        self.write()

    def write(self, *, dearer: float = 0) -> None:
        """Store the orders, and their features as they are known by now."""
        for month in [None] if self.whole else MONTHS:
            held = self.orders[self.orders["ordered_at"].dt.strftime("%Y-%m") == month] if month else self.orders
            moments = pa.array(held["ordered_at"]).cast(pa.timestamp("us", "UTC"))
            both = {"order_id": held["order_id"].to_numpy(), "ordered_at": moments}
            amount, returned = held["amount"].to_numpy(), held["returned"].to_list()
            raw = pa.table(both | {"amount": amount, "returned": pa.array(returned, pa.bool_())})
            self.warehouse.replace("raw.orders", raw, partition=month, metadata={})
            self.warehouse.replace(
                "features.facts", pa.table(both | {"price": amount + dearer}), partition=month, metadata={}
            )

    def step(self, ref: str, partition: str | None, now: datetime) -> Step:
        held = None if self.whole else partition
        return step_at(self.manifest, ref, self.warehouse, now, held, run_id=f"run-{now}", registry=self.registry)

    def score(self, partition: str | None, by: int, now: datetime, *, name: str = "likely") -> None:
        self.registry.promote("returns", by)
        predict(self.step(f"predictions.{name}", partition, now))

    def shown(self, name: str = "likely", partition: str = "") -> ReplayRow:
        """Return the row of a replay's table."""
        loop = WorkingLoop(self.manifest, self.warehouse, self.registry, JUNE, replaying=True)
        rows = [row for row in summarise(loop) if row.prediction == name]
        return next(row for row in rows if row.partition == ("" if self.whole else partition))

    def judged(self, monitor: str, partition: str | None = None) -> tuple[int, int, float | None]:
        """Return what a monitor says: of which version, on how many rows, with which score."""
        spec = self.manifest.monitors[monitor]
        assert isinstance(spec, PerformanceMonitor)
        found = judge_realized(self.step(f"monitoring.{monitor}", partition, JUNE), spec)
        return found.version, found.rows, found.verdicts["roc_auc"].score

    def right(self, version: int, *, since: datetime, until: datetime = JUNE, dearer: float = 0) -> tuple[int, float]:
        """Return rows and score of a version, from the orders and its booster alone."""
        labels, scores = self.told(version, since=since, until=until, dearer=dearer)
        return len(labels), float(roc_auc_score(labels, scores))

    def told(self, version: int, *, since: datetime, until: datetime = JUNE, dearer: float = 0) -> tuple[Any, Any]:
        """Return known labels and the scores that a version gives."""
        at = self.orders["ordered_at"]
        rows = self.orders[(at >= since) & (at < until) & self.orders["returned"].notna()]
        booster = xgboost.Booster(model_file=bytearray(booster_of(version)))
        scores = booster.inplace_predict((rows[["amount"]].to_numpy() + dearer).astype(np.float32))
        return rows["returned"].astype(bool).to_numpy(), scores.astype(float)


Opened = Callable[..., Shop]


@pytest.fixture
def opened(tmp_path: Path, registry: ModelRegistry) -> Opened:
    for version in (2, 1, 3):
        registry.promote("returns", version)
    return lambda book=BOOK: Shop(tmp_path, registry, book)


WHOLE = BOOK.replace("    partitions: {every: month, start: 2024-01}\n", "")


def test_a_partition_is_judged_by_the_version_that_scored_it_first_whoever_scores_it_again(opened: Opened) -> None:
    shop = opened()
    shop.score("2024-03", 1, APRIL)
    shop.score("2024-03", 2, APRIL + timedelta(days=14))
    shop.score("2024-03", 3, MAY)
    rows, score = shop.right(1, since=MARCH, until=APRIL)
    assert shop.judged("likely_right", "2024-03") == (1, rows, pytest.approx(score))
    row = shop.shown(partition="2024-03")
    assert (row.champion, row.live, row.first) == (1, pytest.approx(score), pytest.approx(score))
    assert shop.right(2, since=MARCH, until=APRIL)[1] != pytest.approx(score), "else this proves nothing"


def test_a_version_that_learnt_from_a_part_of_a_partition_is_not_judged_on_it(opened: Opened) -> None:
    shop = opened()
    shop.score("2024-03", 3, APRIL)
    shop.score("2024-03", 2, MAY)
    rows, score = shop.right(1, since=MARCH, until=LEARNT_UNTIL[3])
    assert shop.judged("likely_right", "2024-03") == (1, rows, pytest.approx(score)), "it stood in for version 3"
    row = shop.shown(partition="2024-03")
    assert (row.champion, row.live, row.first) == (1, pytest.approx(score), pytest.approx(score))


def test_of_a_row_that_is_scored_again_from_better_known_features_the_first_score_counts(opened: Opened) -> None:
    shop = opened()
    shop.score("2024-04", 3, MAY)
    shop.write(dearer=9)
    shop.score("2024-04", 3, MAY + timedelta(days=1))
    rows, score = shop.right(3, since=APRIL)
    assert shop.judged("likely_right", "2024-04") == (3, rows, pytest.approx(score))
    assert shop.right(3, since=APRIL, dearer=9)[1] != pytest.approx(score), "else this proves nothing"


def test_of_one_moment_the_last_score_counts(opened: Opened) -> None:
    """A replay scores a row twice at the moment at which a second source brings what its features lacked."""
    shop = opened()
    for dearer in (0, 9):
        shop.write(dearer=dearer)
        shop.score("2024-04", 3, MAY)
    rows, score = shop.right(3, since=APRIL, dearer=9)
    assert shop.judged("likely_right", "2024-04") == (3, rows, pytest.approx(score))


def test_the_first_version_too_is_shown_by_what_it_said_first(opened: Opened) -> None:
    shop = opened()
    shop.score("2024-03", 1, APRIL)
    shop.write(dearer=9)
    shop.score("2024-03", 1, MAY)
    row = shop.shown(partition="2024-03")
    assert row.first == row.live == pytest.approx(shop.right(1, since=MARCH, until=APRIL)[1])


@pytest.mark.parametrize("book", [BOOK, WHOLE])
def test_no_row_that_the_first_version_has_learnt_from_counts_for_it(opened: Opened, book: str) -> None:
    shop = opened(book)
    shop.score("2024-02", 1, MAY, name="by_the_second")
    start, end = (LEARNT_UNTIL[2], JUNE) if shop.whole else (datetime(2024, 2, 1, tzinfo=UTC), MARCH)
    rows, live = shop.right(2, since=start, until=end)
    row = shop.shown("by_the_second", "2024-02")
    assert shop.judged("second_right", "2024-02") == (2, rows, pytest.approx(live))
    assert (row.champion, row.live) == (2, pytest.approx(live))
    unseen, first = shop.right(1, since=LEARNT_UNTIL[1], until=end)
    assert unseen < rows
    assert row.first == pytest.approx(first)
    assert shop.right(1, since=start, until=end)[1] != pytest.approx(first), "else this proves nothing"


def test_a_picture_is_drawn_if_a_check_fails_or_a_person_has_started_the_run(opened: Opened) -> None:
    shop = opened()
    shop.score("2024-03", 1, APRIL)
    step = shop.step("monitoring.likely_right", "2024-03", JUNE)
    spec = shop.manifest.monitors["likely_right"]
    assert isinstance(spec, PerformanceMonitor)
    spec = spec.model_copy(update={"min_rows": 50})
    strict = spec.model_copy(update={"metrics": {"roc_auc": MetricLimit(min=0.999)}})
    pages = step.warehouse.root_path / "reports" / "likely_right"
    for tags in ({PLAN_TAG: "the loop's"}, {APPLY_TAG: "true"}):
        seen = judge_realized(replace(step, tags=tags), spec)
        assert (seen.verdicts["roc_auc"].status, "drawn when a check fails" in seen.links["report"]) == ("passed", True)
        assert not pages.exists()
        failed = judge_realized(replace(step, tags=tags), strict)
        assert (failed.verdicts["roc_auc"].status, [page.name for page in pages.iterdir()]) == (
            "failed",
            ["2024-03-v1.html"],
        )
        shutil.rmtree(pages)
    assert str(judge_realized(step, spec).links["report"]).endswith("/likely_right/2024-03-v1.html")
    assert (pages / "2024-03-v1.html").exists()


def test_where_nobody_may_be_judged_neither_is_the_first_version(opened: Opened) -> None:
    shop = opened()
    shop.score("2024-03", 3, APRIL, name="by_the_third")
    assert shop.judged("third_right", "2024-03") == (0, 0, None)
    row = shop.shown("by_the_third", "2024-03")
    assert 0 < row.rows < shop.right(1, since=MARCH, until=APRIL)[0], "the rows behind what it learnt on"
    assert (row.champion, row.live, row.first) == (3, None, None)


def test_without_partitions_each_row_counts_for_the_version_that_scored_it_first(opened: Opened) -> None:
    shop = opened(WHOLE)
    rows = shop.orders
    came = rows["ordered_at"] < pd.Timestamp(APRIL)
    shop.orders = rows[came]
    shop.write()
    shop.score(None, 1, APRIL)
    shop.orders = rows
    shop.write()
    shop.score(None, 3, MAY)
    new, score = shop.right(3, since=APRIL)
    assert shop.judged("likely_right") == (3, new, pytest.approx(score)), "no row that version 1 had scored before"
    before = shop.told(1, since=LEARNT_UNTIL[1], until=APRIL)
    after = shop.told(3, since=APRIL)
    earlier = shop.told(2, since=LEARNT_UNTIL[2], until=LEARNT_UNTIL[1])
    labels, scores = (np.concatenate(parts) for parts in zip(before, after, earlier, strict=True))
    row = shop.shown()
    assert row.champion == 3
    assert row.live == pytest.approx(roc_auc_score(labels, scores))
    assert row.first == pytest.approx(shop.right(1, since=LEARNT_UNTIL[1])[1])


def test_a_label_that_changes_counts_as_it_is_now_and_one_that_is_gone_no_more(opened: Opened) -> None:
    shop = opened()
    shop.score("2024-03", 1, APRIL)
    before = shop.judged("likely_right", "2024-03")
    returned = shop.orders["returned"].astype(object)
    returned[::3] = ~shop.orders["returned"][::3]
    returned[::7] = None
    shop.orders["returned"] = returned
    shop.write()
    rows, score = shop.right(1, since=MARCH, until=APRIL)
    assert shop.judged("likely_right", "2024-03") == (1, rows, pytest.approx(score))
    assert shop.shown(partition="2024-03").live == pytest.approx(score)
    assert (rows, score) != pytest.approx(before[1:])


def test_without_a_known_label_the_version_is_named_and_nothing_is_said_of_it(opened: Opened) -> None:
    shop = opened()
    shop.orders["returned"] = None
    shop.write()
    shop.score("2024-03", 1, APRIL)
    assert shop.judged("likely_right", "2024-03") == (1, 0, None)
    row: Any = shop.shown(partition="2024-03")
    assert (row.champion, row.live, row.first) == (1, None, None)

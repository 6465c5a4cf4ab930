"""What a training run does: it makes a version, or takes its decision back where the rows do not allow one."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xgboost

from metaplatform.compute.policy.retraining import taken_back
from metaplatform.compute.training import TrainingRefusedError
from metaplatform.factories.automation.sensors import pending_retrains
from metaplatform.factories.automation.state import Loop
from metaplatform.factories.automation.training_state import training_state
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.monitoring import MetricLimit, PerformanceMonitor
from metaplatform.specs.loading import load_book
from metaplatform.specs.records.learnt import Learnt
from metaplatform.specs.records.ledger import Decision, Observation, Promotion
from metaplatform.work.performance import earlier_scores
from metaplatform.work.steps import REPLAY_TAG
from metaplatform.work.training import DECISION_TAG, retrain
from metaplatform_tests.work.orders import DAYS, START, book_of, rows, store
from metaplatform_tests.work.steps import registry_of, step_at

NOW = START + dt.timedelta(days=DAYS)


class Platform:
    """A storage root with orders, and the runs that train on them."""

    def __init__(self, folder: Path, orders: pa.Table, **spans: str) -> None:
        self.manifest: Manifest = book_of(
            folder, **{"every": "month", "delay": "1 day", "window": "30 days", "holdout": "10 days"} | spans
        )
        root = folder / "storage"
        self.warehouse = Warehouse(root=str(root))
        self.registry = registry_of(root)
        store(self.warehouse, self.manifest, orders)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.warehouse)

    def decide(self, name: str, now: dt.datetime = NOW) -> None:
        self.ledger.append(Decision(name, "returns", "retrain", "drift", "drift was seen", now, "watch/v1/2024-01"))

    def train(self, now: dt.datetime = NOW, **tags: str) -> bool:
        """Do the work of a training run; tell whether a version was made."""
        step = step_at(
            self.manifest,
            "models.returns",
            self.warehouse,
            now,
            run_id=f"run at {now}",
            registry=self.registry,
            tags={REPLAY_TAG: "true", **tags},
        )
        return retrain(step) is not None

    def loop(self, now: dt.datetime = NOW) -> Loop:
        return Loop(self.manifest, self.warehouse, self.registry, now)


def of_one_class_until(orders: pa.Table, moment: dt.datetime) -> pa.Table:
    early = pc.less(orders["at"], pa.scalar(moment, orders["at"].type))
    labels = pc.if_else(early, pa.scalar(False), orders["returned"])  # a label
    return orders.set_column(orders.column_names.index("returned"), "returned", labels)


def booster_of(learnt: Learnt) -> xgboost.Booster:
    return xgboost.Booster(model_file=bytearray(learnt.files["model.ubj"]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    platform = Platform(tmp_path_factory.mktemp("trained"), rows())
    platform.decide("first")
    assert platform.train(**{DECISION_TAG: "first"})
    return platform


def test_a_version_knows_the_rows_it_was_made_from_and_none_of_them_is_new(trained: Platform) -> None:
    (version,) = trained.registry.versions("returns")
    state = training_state(trained.loop(), trained.manifest.models["returns"])
    assert state.prospect is not None
    assert state.prospect.rows == version.labelled_rows
    assert state.prospect.bounds.cut == version.cut
    assert state.prospect.new_rows == 0
    assert not state.void


def test_the_winner_is_refitted_on_the_whole_window_and_keeps_the_verdict_of_what_was_judged(
    trained: Platform,
) -> None:
    (version,) = trained.registry.versions("returns")
    bundle = trained.registry.load("returns", version.version)
    assert version.refitted
    assert version.trained_until == version.cut > version.holdout_from
    assert bundle.judged.learnt != bundle.learnt
    (promotion,) = trained.ledger.read(Promotion)
    assert promotion.challenger_score == bundle.metrics["roc_auc"]
    rounds = [booster_of(found).num_boosted_rounds() for found in (bundle.learnt, bundle.judged.learnt)]
    assert rounds[0] == rounds[1]
    columns = {column["name"]: column for column in bundle.reference["columns"]}
    assert columns["price"]["rows"] == version.labelled_rows
    held = bundle.lineage.holdout_rows + bundle.lineage.validation_rows
    assert columns["probability"]["rows"] == held, "scores of rows that what was judged had not seen"


def test_the_refit_is_what_xgboost_makes_of_all_labelled_rows_before_the_cut(trained: Platform) -> None:
    (version,) = trained.registry.versions("returns")
    bundle = trained.registry.load("returns", version.version)
    # By other means: the rows in plain Python, in the order of event timestamp and key.
    learnt = [
        row
        for row in sorted(rows().to_pylist(), key=lambda row: (row["at"], row["id"]))
        if version.trained_from <= row["at"] < version.cut and row["returned"] is not None and not row["test"]
    ]
    data = xgboost.QuantileDMatrix(
        np.array([[row["amount"]] for row in learnt], np.float32),
        np.array([float(row["returned"]) for row in learnt]),
        feature_names=["price"],
        feature_types=["q"],
        max_bin=256,
        nthread=1,
    )
    judged = booster_of(bundle.judged.learnt)
    again = xgboost.train(
        {"objective": "binary:logistic", "tree_method": "hist", "max_bin": 256, "seed": 0, "nthread": 1},
        data,
        judged.num_boosted_rounds(),
    )
    asked = np.linspace(0, 13, 50, dtype=np.float32).reshape(-1, 1)
    scores = booster_of(bundle.learnt).inplace_predict(asked)
    assert scores == pytest.approx(again.inplace_predict(asked), abs=1e-6)


def test_a_refitted_champion_is_compared_on_the_whole_holdout_by_what_was_judged(tmp_path: Path) -> None:
    platform = Platform(tmp_path, rows())
    before = NOW - dt.timedelta(days=6)
    for name, moment in (("first", before), ("second", NOW)):
        platform.decide(name, moment)
        assert platform.train(moment, **{DECISION_TAG: name})
    first, second = platform.registry.versions("returns")
    verdict = platform.ledger.read(Promotion)[-1]
    assert verdict.champion_version == first.version
    assert second.holdout_from < first.cut, "the holdouts overlap, and the champion that scores has learnt from both"
    usable = [row for row in rows().to_pylist() if row["returned"] is not None and not row["test"]]
    assert verdict.rows == sum(second.holdout_from <= row["at"] < second.cut for row in usable)


def test_without_refit_what_was_judged_is_what_scores(tmp_path: Path) -> None:
    platform = Platform(tmp_path, rows())
    model = platform.manifest.models["returns"]
    unrefitted = model.model_copy(update={"training": model.training.model_copy(update={"refit": False})})
    platform.manifest.models["returns"] = unrefitted
    assert platform.train()
    (version,) = platform.registry.versions("returns")
    assert not version.refitted
    assert version.trained_until == version.holdout_from < version.cut


def test_a_first_version_whose_holdout_has_one_class_is_taken_and_told_to_have_no_score(tmp_path: Path) -> None:
    orders = rows()
    late = pc.greater_equal(orders["at"], pa.scalar(NOW - dt.timedelta(days=12), orders["at"].type))
    labels = pc.if_else(late, pa.scalar(True), orders["returned"])  # a label
    orders = orders.set_column(orders.column_names.index("returned"), "returned", labels)
    platform = Platform(tmp_path, orders)
    platform.decide("first")
    assert platform.train(**{DECISION_TAG: "first"})
    (verdict,) = platform.ledger.read(Promotion)
    assert (verdict.outcome, verdict.challenger_score) == ("promoted", None)
    assert "there is no champion yet; it has no score, for roc_auc is undefined" in verdict.reasons
    # What it may lose from is the first partition that it was judged on.
    (version,) = platform.registry.versions("returns")
    monitor = PerformanceMonitor(
        name="watch", kind="performance", prediction="likely", metrics={"roc_auc": MetricLimit(max_loss=0.1)}
    )

    def baseline(partition: str) -> object:
        step = step_at(
            platform.manifest, "monitoring.watch", platform.warehouse, NOW, partition, registry=platform.registry
        )
        found = earlier_scores(step, monitor, version)
        return found.get("roc_auc")

    assert baseline("2024-03") is None
    for partition, score, matured in (("2024-03", 0.9, 10), ("2024-04", 0.8, 1_000), ("2024-05", 0.6, 1_000)):
        seen = ("watch", "performance", "returns", 1, "roc_auc", "", partition, score, None, matured, "skipped", "")
        platform.ledger.append(Observation(partition, *seen, NOW, "run"))
    assert baseline("2024-04") is None, "ten rows are no score, and a partition is not held against itself"
    assert baseline("2024-05") == baseline("2024-06") == (0.8, "2024-04")


def test_a_retrain_on_the_very_labels_of_the_last_is_taken_back_and_no_version_is_made(trained: Platform) -> None:
    trained.decide("again", NOW + dt.timedelta(hours=1))
    assert not trained.train(**{DECISION_TAG: "again"})
    assert len(trained.registry.versions("returns")) == 1
    decisions = trained.ledger.read(Decision, model="returns")
    assert "no label has matured" in taken_back(decisions)["again"].reasons
    assert [promotion.promotion_id for promotion in trained.ledger.read(Promotion)] == ["first"]
    assert not list(pending_retrains(trained.loop(), "returns"))
    state = training_state(trained.loop(), trained.manifest.models["returns"])
    assert state.void == {"again"}
    assert state.refusal is not None


def test_one_class_that_only_the_split_shows_is_a_reason_to_wait_and_no_failed_run(tmp_path: Path) -> None:
    # Before the holdout there are both classes, but the second one in what validates alone.
    platform = Platform(tmp_path, of_one_class_until(rows(), NOW - dt.timedelta(days=13)))
    platform.decide("first")
    assert not platform.train(**{DECISION_TAG: "first"})
    assert not platform.registry.versions("returns")
    (back,) = taken_back(platform.ledger.read(Decision, model="returns")).values()
    assert "one class only" in back.reasons
    state = training_state(platform.loop(), platform.manifest.models["returns"])
    assert state.refusal is not None
    assert state.prospect is not None
    assert state.prospect.bounds.cut <= state.refusal.cut


def test_a_person_who_asks_for_a_training_that_cannot_be_made_hears_why(tmp_path: Path) -> None:
    platform = Platform(tmp_path, of_one_class_until(rows(), NOW))
    with pytest.raises(TrainingRefusedError, match="one class only"):
        platform.train()
    assert not platform.ledger.read(Decision)


def test_a_run_that_died_late_and_is_tried_again_finds_the_version_it_had_trained(tmp_path: Path) -> None:
    platform = Platform(tmp_path, rows())
    platform.decide("first")
    assert platform.train(**{DECISION_TAG: "first"})
    assert platform.train(NOW + dt.timedelta(hours=1), **{DECISION_TAG: "first"})
    (version,) = platform.registry.versions("returns")
    assert platform.registry.champion("returns") == version
    assert [kept.promotion_id for kept in platform.ledger.read(Promotion)] == ["first"]


def test_a_champion_whose_features_are_gone_is_told_of_and_not_asked(tmp_path: Path) -> None:
    platform = Platform(tmp_path, rows(), every="")
    platform.decide("first", NOW - dt.timedelta(days=6))
    assert platform.train(NOW - dt.timedelta(days=6), **{DECISION_TAG: "first"})
    edited = tmp_path / "edited" / "book.yaml"
    edited.parent.mkdir()
    edited.write_text((tmp_path / "book.yaml").read_text().replace("{price: amount}", "{cost: amount}"))
    platform.manifest = load_book(edited.parent)
    with platform.warehouse.session() as session:
        learnt = session.stream(session.table("features.facts")).read_all().rename_columns({"price": "cost"})
    platform.warehouse.replace("features.facts", learnt, partition=None, metadata={})
    platform.decide("second")
    assert platform.train(**{DECISION_TAG: "second"})
    verdict = platform.ledger.read(Promotion)[-1]
    assert (verdict.outcome, verdict.champion_version) == ("promoted", None)
    assert verdict.reasons == "the champion, version 1, needs features that are gone: price"

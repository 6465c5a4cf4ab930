"""What a training run does: it makes a version, or takes its decision back where the rows do not allow one."""

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from metaplatform.compute.policy.retraining import taken_back
from metaplatform.compute.training import TrainingRefusedError
from metaplatform.factories.automation.sensors import pending_retrains
from metaplatform.factories.automation.state import Loop, training_state
from metaplatform.factories.steps import NOW_TAG
from metaplatform.factories.training import DECISION_TAG, model_asset
from metaplatform.resources.clock import Clock
from metaplatform.resources.ledger import Ledger
from metaplatform.resources.model_registry import ModelRegistry
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.records import Decision, Promotion
from metaplatform_tests.factories.orders import DAYS, START, book_of, rows, store

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
NOW = START + dt.timedelta(days=DAYS)


class Platform:
    """A storage root with orders, and the runs that train on them."""

    def __init__(self, folder: Path, orders: pa.Table, **spans: str) -> None:
        self.manifest: Manifest = book_of(
            folder, **{"every": "month", "delay": "1 day", "window": "30 days", "holdout": "10 days"} | spans
        )
        root = folder / "storage"
        self.warehouse = Warehouse(root=str(root))
        self.registry = ModelRegistry(tracking_uri=f"sqlite:///{root}/mlflow.db", artifact_root=str(root / "models"))
        store(self.warehouse, self.manifest, orders)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.warehouse)

    def decide(self, name: str, now: dt.datetime = NOW) -> None:
        self.ledger.append(Decision(name, "returns", "retrain", "drift", "drift was seen", now, "watch/v1/2024-01"))

    def train(self, now: dt.datetime = NOW, **tags: str) -> tuple[int, Any]:
        """Run the model's asset; return how often it was materialized, and the error of a failed run."""
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                [model_asset(self.manifest, "returns")],
                resources={"warehouse": self.warehouse, "registry": self.registry, "clock": Clock()},
                tags={NOW_TAG: now.isoformat(), **tags},
                instance=instance,
                raise_on_error=False,
            )
            made = len(result.get_asset_materialization_events())
            if result.success:
                return made, None
            (failure,) = result.get_step_failure_events()
            return made, failure.step_failure_data.error.cause

    def loop(self, now: dt.datetime = NOW) -> Loop:
        return Loop(self.manifest, self.warehouse, self.registry, now)


def of_one_class_until(orders: pa.Table, moment: dt.datetime) -> pa.Table:
    early = pc.less(orders["at"], pa.scalar(moment, orders["at"].type))
    labels = pc.if_else(early, pa.scalar(False), orders["returned"])  # a label
    return orders.set_column(orders.column_names.index("returned"), "returned", labels)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    platform = Platform(tmp_path_factory.mktemp("trained"), rows())
    platform.decide("first")
    assert platform.train(**{DECISION_TAG: "first"}) == (1, None)
    return platform


def test_a_version_knows_the_rows_it_was_made_from_and_none_of_them_is_new(trained: Platform) -> None:
    (version,) = trained.registry.versions("returns")
    state = training_state(trained.loop(), trained.manifest.models["returns"])
    assert state.prospect is not None
    assert state.prospect.rows == version.labelled_rows
    assert state.prospect.bounds.cut == version.cut
    assert state.prospect.new_rows == 0
    assert not state.void


def test_a_retrain_on_the_very_labels_of_the_last_is_taken_back_by_a_run_that_succeeds(trained: Platform) -> None:
    trained.decide("again", NOW + dt.timedelta(hours=1))
    assert trained.train(**{DECISION_TAG: "again"}) == (0, None)
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
    assert platform.train(**{DECISION_TAG: "first"}) == (0, None)
    assert not platform.registry.versions("returns")
    (back,) = taken_back(platform.ledger.read(Decision, model="returns")).values()
    assert "one class only" in back.reasons
    state = training_state(platform.loop(), platform.manifest.models["returns"])
    assert state.refusal is not None
    assert state.prospect is not None
    assert state.prospect.bounds.cut <= state.refusal.cut


def test_a_person_who_asks_for_a_training_that_cannot_be_made_hears_why(tmp_path: Path) -> None:
    platform = Platform(tmp_path, of_one_class_until(rows(), NOW))
    made, error = platform.train()
    assert not made
    assert error.cls_name == TrainingRefusedError.__name__
    assert "one class only" in error.message
    assert not platform.ledger.read(Decision)

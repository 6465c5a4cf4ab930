"""Observations, decisions and models for the retrain policy's tests."""

from datetime import UTC, datetime, timedelta

from metaplatform.compute.label_counts import Prospect, Tally
from metaplatform.compute.policy.retraining import TrainingState
from metaplatform.compute.splitting import Bounds
from metaplatform.naming import stable_id
from metaplatform.specs.entities.training import (
    ModelSpec,
    PromotionSpec,
    RetrainPolicy,
    TargetSpec,
    TrainingSpec,
    VoteSpec,
)
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import Window
from metaplatform.specs.records.ledger import Observation

START = datetime(2024, 1, 1, tzinfo=UTC)
DRIFT, PERFORMANCE = "watch_drift", "watch_performance"


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def model(policy: RetrainPolicy | None, **training: object) -> ModelSpec:
    return ModelSpec(
        name="risk",
        kind="xgboost",
        task="binary",
        feature_set="facts",
        target=TargetSpec(sql="bad"),
        training=TrainingSpec(
            **{"window": Duration.parse("90 days"), "holdout": Duration.parse("10 days"), "min_rows": 100} | training
        ),
        promotion=PromotionSpec(metric="roc_auc"),
        retrain=policy,
    )


def policy(**fields: object) -> RetrainPolicy:
    return RetrainPolicy(**{"cooldown": Duration.parse("10 days")} | fields)


def vote(*monitors: str, failures: int = 1, of: int = 1) -> VoteSpec:
    return VoteSpec(monitors=monitors or (DRIFT,), failures=failures, of=of)


def seen(partition: str, status: str = "failed", *, on: float = 0, **fields: object) -> Observation:
    """Return a verdict of the drift monitor about version 1, observed on a day, unless ``fields`` say otherwise."""
    facts = {
        "monitor": DRIFT,
        "kind": "drift",
        "model": "risk",
        "model_version": 1,
        "check": "data_drift",
        "column": "",
        "partition": partition,
        "score": 0.7,
        "threshold": 0.5,
        "rows": 1_000,
        "status": status,
        "detail": "",
        "observed_at": day(on),
        "run_id": "run",
    } | fields
    return Observation(observation_id=stable_id(*facts.values()), **facts)


def state(*observations: Observation, **fields: object) -> TrainingState:
    """Return what the policy of ``model`` is asked with: a champion, and rows enough for another version."""
    facts = {"champion_version": 1, "prospect": rows_for(), "retrains": (), "observations": observations}
    return TrainingState(**facts | fields)


def tally(rows: int) -> Tally:
    return Tally(rows, 0.0, 1.0)


def rows_for(*, cut: datetime = START, **fields: object) -> Prospect:
    """Return what a training is made of: 500 rows before the holdout, 500 in it, half of all new, unless told."""
    facts = {
        "bounds": Bounds(cut - timedelta(days=90), cut - timedelta(days=10), cut),
        "data": Window(cut - timedelta(days=100), cut),
        "training": tally(500),
        "holdout": tally(500),
        "compared": tally(500),
        "new_rows": 500,
    }
    return Prospect(**facts | fields)

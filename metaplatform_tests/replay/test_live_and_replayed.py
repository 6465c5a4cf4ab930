"""What a replay does is what the loop did live: the same decisions at the same moments, the same versions and verdicts.

Live is played by the same sensors and schedules, asked once an hour under a moved clock, over files that come as their
day ends.
"""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaplatform.composition import definitions_of
from metaplatform.execution import deployment_instance
from metaplatform.replay.conductor import Conductor
from metaplatform.replay.history import replay_history
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book
from metaplatform.specs.records.ledger import Decision, Promotion
from metaplatform_tests.replay.silence import Silent

START, DAYS, ORDERS_A_DAY = datetime(2024, 3, 1, tzinfo=UTC), 6, 240
BOOK = """\
sources:
  orders:
    kind: csv
    path: data/*.csv
    columns: {id: bigint, at: timestamp, amount: double, returned: boolean}
    key: [id]
    event_timestamp: at
    partitions: {every: day, start: 2024-03-01}
    outcomes: {columns: [returned], delay: 5 hours}
feature_sets:
  facts: {spine: raw.orders, features: [{kind: expression, columns: {price: amount, hour: hour(at)}}]}
models:
  returns:
    kind: xgboost
    task: binary
    feature_set: facts
    target: {sql: returned}
    training: {window: 2 days, holdout: 12 hours, min_rows: 100, rounds: 5, parameters: {max_depth: 2}}
    promotion: {metric: roc_auc, min_rows: 20}
    retrain: {new_rows: 200, cooldown: 31 hours}
predictions:
  likely: {model: returns}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "book.yaml").write_text(BOOK, encoding="utf-8")
    random = np.random.default_rng(5)
    (tmp_path / "all").mkdir()
    for day in range(DAYS):
        seconds = np.sort(random.integers(0, 86_400, ORDERS_A_DAY))
        lines = ["id,at,amount,returned"]
        for number, second in enumerate(seconds):
            amount = random.gamma(4, 25)
            moment = START + timedelta(days=day, seconds=int(second))
            returned = str(bool(random.random() < 1 / (1 + np.exp((100 - amount) / 20)))).lower()
            lines.append(f"{day * ORDERS_A_DAY + number},{moment:%Y-%m-%d %H:%M:%S},{amount:.2f},{returned}")
        path = tmp_path / "all" / f"{START + timedelta(days=day):%Y-%m-%d}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def live(project: Path, deployment: Deployment, until: datetime) -> None:
    """Let each day's file come when the day has ended, and ask the loop at every full hour."""
    data = project / "data"
    data.mkdir()
    definitions = definitions_of(load_book(project / "metadata"), deployment)
    with deployment_instance(deployment) as instance:
        conductor = Conductor(definitions, instance, lambda _: None)
        now = START
        while now < until:
            now += timedelta(hours=1)
            day = now - timedelta(days=1)
            if now.hour == 0:
                arrived = Path(shutil.copy(project / "all" / f"{day:%Y-%m-%d}.csv", data))
                moment = (now - timedelta(minutes=10)).timestamp()
                os.utime(arrived, (moment, moment))
            if any(data.iterdir()):
                conductor.play(now)


def done(deployment: Deployment) -> dict[str, list[Any]]:
    """Return what the loop decided and when, the versions it made, and what became of them."""
    ledger = Ledger(Warehouse(root=str(deployment.root)))
    registry = ModelRegistry(tracking_uri=deployment.tracking_uri, artifact_root=str(deployment.root / "mlartifacts"))
    retrains = ledger.read(Decision, outcome="retrain")
    return {
        "retrains": [(kept.decided_at, kept.trigger, kept.reasons, kept.causes) for kept in retrains],
        "promotions": [
            (kept.decided_at, kept.challenger_version, kept.champion_version, kept.outcome, kept.gain, kept.rows)
            for kept in ledger.read(Promotion)
        ],
        "versions": [
            (found.version, found.trained_from, found.trained_until, found.cut, found.aliases)
            for found in registry.versions("returns")
        ],
    }


def test_the_same_book_and_arrivals_give_the_same_live_and_replayed(project: Path) -> None:
    until = START + timedelta(days=DAYS, hours=5)
    lived = Deployment(book=project / "metadata", root=project / "live")
    live(project, lived, until)
    replayed = Deployment(book=project / "metadata", root=project / "replayed")
    result = replay_history(
        load_book(project / "metadata"), replayed, until=None, fresh=False, with_reactions=True, progress=Silent()
    )
    assert result.failure is None
    expected, found = done(lived), done(replayed)
    assert len(expected["retrains"]) >= 3
    # Fired between two arrivals, by nothing but the passing of time.
    assert any(moment.hour not in {0, 5} for moment, *_ in expected["retrains"])
    assert found == expected

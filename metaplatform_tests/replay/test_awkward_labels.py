"""Labels of one class at first, and labels that stop coming: a replay goes on, and says what it waits for."""

import numpy as np
import pytest

from metaplatform.replay.history import replay_history
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book
from metaplatform.specs.records.ledger import Decision, Promotion
from metaplatform_tests.replay.silence import Silent

MONTHS = [f"2024-{month:02}" for month in range(1, 9)]
ONE_CLASS, SILENT = MONTHS[:2], MONTHS[6:]
BOOK = """\
sources:
  orders:
    kind: csv
    path: data/*.csv
    columns: {id: bigint, at: timestamp, amount: double, returned: boolean}
    key: [id]
    event_timestamp: at
    partitions: {every: month, start: 2024-01}
    outcomes: {columns: [returned], delay: 1 day}
feature_sets:
  facts: {spine: raw.orders, features: [{kind: expression, columns: {price: amount}}]}
models:
  returns:
    kind: xgboost
    task: binary
    feature_set: facts
    target: {sql: returned}
    training: {window: 2 months, holdout: 10 days, min_rows: 150, rounds: 5}
    promotion: {metric: roc_auc, min_rows: 50}
    retrain: {schedule: "0 0 2 * *", new_rows: 1, first_after: 20 days, cooldown: 5 days}
predictions:
  likely: {model: returns}
"""


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Decision], list[Promotion]]:
    folder = tmp_path_factory.mktemp("labels")
    (folder / "metadata").mkdir()
    (folder / "data").mkdir()
    (folder / "metadata" / "book.yaml").write_text(BOOK, encoding="utf-8")
    random = np.random.default_rng(5)
    for number, month in enumerate(MONTHS):
        lines = ["id,at,amount,returned"]
        for index in range(200):
            moment = np.datetime64(f"{month}-01T00:00:00") + np.timedelta64(int(random.integers(0, 28 * 86_400)), "s")
            amount = random.gamma(4, 25)
            label = {True: "false", False: str(amount + random.normal(0, 30) > 100).lower()}[month in ONE_CLASS]
            lines.append(f"{number * 1000 + index},{moment},{amount:.2f},{'' if month in SILENT else label}")
        (folder / "data" / f"{month}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    deployment = Deployment(book=folder / "metadata", root=folder / "root")
    book = load_book(folder / "metadata")
    replay_history(book, deployment, until=None, fresh=False, with_reactions=False, progress=Silent())
    ledger = Ledger(Warehouse(root=str(folder / "root")))
    return ledger.read(Decision), ledger.read(Promotion)


Kept = tuple[list[Decision], list[Promotion]]


def test_a_first_window_of_one_class_waits_for_the_other_and_ends_nothing(decisions: Kept) -> None:
    waits = [kept for kept in decisions[0] if "one class only" in kept.reasons]
    assert {kept.outcome for kept in waits} == {"wait"}
    (first,) = (kept for kept in decisions[0] if kept.outcome == "retrain" and kept.trigger == "first")
    assert f"{first.decided_at:%Y-%m}" > ONE_CLASS[-1]
    assert decisions[1][0].promotion_id == first.decision_id


def test_every_retrain_has_led_to_a_verdict_on_labels_that_the_one_before_had_not_seen(decisions: Kept) -> None:
    retrains = [kept for kept in decisions[0] if kept.outcome == "retrain"]
    assert sorted(kept.decision_id for kept in retrains) == sorted(kept.promotion_id for kept in decisions[1])
    assert len({kept.decided_at for kept in retrains}) == len(retrains)
    assert 3 <= len(retrains) <= len(MONTHS)


def test_labels_that_stop_coming_stop_the_retrains_and_the_wait_says_so(decisions: Kept) -> None:
    last = max(kept.decided_at for kept in decisions[0] if kept.outcome == "retrain")
    assert f"{last:%Y-%m}" <= SILENT[0]
    told = [kept.reasons for kept in decisions[0] if kept.decided_at > last and kept.trigger == "schedule"]
    assert any("no label has matured since the last training" in reasons for reasons in told)

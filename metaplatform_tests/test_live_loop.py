"""The loop closes with nobody's help: Dagster's own daemon and code server, real runs in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metaplatform.specs.records.ledger import Action, Arrival, Decision, Observation, Promotion
from metaplatform.work.training import DECISION_TAG
from metaplatform_tests.live import Daemon
from metaplatform_tests.processes import python
from metaplatform_tests.scenario import write_month, write_project

pytestmark = pytest.mark.live

DRIFTED, NEXT = "2024-04", "2024-05"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Return a daemon, not started, over a shop that has been replayed: its first version is champion."""
    write_project(tmp_path)
    for month in ("2024-01", "2024-02", "2024-03"):
        write_month(tmp_path, month, shifted=False)
    python("-m", "metaplatform", "replay", "--reactions", "--root", "storage", cwd=tmp_path, check=True)
    daemon = Daemon.over(tmp_path)
    try:
        yield daemon
    finally:
        daemon.stop()


def retrains(daemon: Daemon) -> list[Decision]:
    decisions = daemon.ledger.read(Decision, outcome="retrain")
    return [decision for decision in decisions if decision.trigger != "first"]


def scored_anew(daemon: Daemon) -> bool:
    """The challenger was promoted and has scored a month that it has not learnt from."""
    state = daemon.ledger._warehouse.partitions("predictions.order_returns").get(NEXT)
    return state is not None and state.model_version == 2


def acted(daemon: Daemon, partition: str) -> bool:
    return bool(daemon.ledger.read(Action, partition=partition))


def at_rest(daemon: Daemon) -> bool:
    return all(run.is_finished for run in daemon.runs())


def everything_kept(daemon: Daemon) -> dict[str, list[str]]:
    """Return what the loop has done, by id: runs, decisions to retrain, promotions, actions, arrivals."""
    return {
        "runs": sorted(run.run_id for run in daemon.runs()),
        "retrains": sorted(kept.decision_id for kept in daemon.ledger.read(Decision, outcome="retrain")),
        "promotions": sorted(kept.promotion_id for kept in daemon.ledger.read(Promotion)),
        "actions": sorted(kept.action_id for kept in daemon.ledger.read(Action)),
        "arrivals": sorted(kept.arrival_id for kept in daemon.ledger.read(Arrival)),
    }


def test_after_a_month_that_drifts_the_next_is_scored_by_a_new_champion_though_the_daemon_dies_in_the_retrain(
    daemon: Daemon,
) -> None:
    assert len(daemon.ledger.read(Arrival, source="orders")) == 3
    daemon.start()
    write_month(daemon.project, DRIFTED, shifted=True)
    daemon.wait_for("retrain decision", lambda: bool(retrains(daemon)))
    failed = daemon.ledger.read(Observation, partition=DRIFTED, model_version=1, check="data_drift", column="")
    assert [seen.status for seen in failed] == ["failed"]
    decision = retrains(daemon)[0].decision_id

    def at_work() -> bool:
        return any(run.tags.get(DECISION_TAG) == decision and run.status.value == "STARTED" for run in daemon.runs())

    daemon.wait_for("retrain at work", at_work)
    daemon.kill()
    assert not daemon.ledger.read(Promotion, promotion_id=decision)
    daemon.start()
    daemon.wait_for("promotion after the restart", lambda: bool(daemon.ledger.read(Promotion, promotion_id=decision)))
    assert [kept.outcome for kept in daemon.ledger.read(Promotion, promotion_id=decision)] == ["promoted"]
    daemon.wait_for("reaction to the drifted month", lambda: acted(daemon, DRIFTED))
    write_month(daemon.project, NEXT, shifted=True)
    daemon.wait_for("predictions by version 2", lambda: scored_anew(daemon))
    daemon.wait_for("reaction to version 2", lambda: acted(daemon, NEXT))
    assert len(retrains(daemon)) == 1
    assert (daemon.root / "exports" / "returns_file" / f"{DRIFTED}.csv").exists()
    assert (daemon.root / "reports" / "returns_report" / f"{DRIFTED}.html").exists()
    assert (daemon.root / "notifications" / "call_customers.jsonl").exists()
    daemon.wait_for("rest", lambda: at_rest(daemon))

    before = everything_kept(daemon)
    daemon.stop()
    daemon.start()
    daemon.wait_for("looks after the restart", lambda: daemon.looks("retraining") >= 2)
    daemon.wait_for("rest", lambda: at_rest(daemon))
    assert everything_kept(daemon) == before

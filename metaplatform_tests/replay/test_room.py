"""A replay makes room for itself where only replays were, and nowhere else."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from metaplatform.cli.serving import _go_live
from metaplatform.errors import StorageError
from metaplatform.execution import deployment_instance
from metaplatform.replay.room import make_room
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.root_use import contents_of, mark_root, use_of
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.records.ledger import Arrival
from metaplatform.work.steps import REPLAY_TAG, REPLAY_TAGS


def run(deployment: Deployment, *, replayed: bool, tag: str = REPLAY_TAG) -> str:
    """Keep a run and what it ingested, as a live loop or a replay does."""
    with deployment_instance(deployment) as instance:

        @dg.job
        def nothing() -> None: ...

        tags = {tag: "true"} if replayed else {}
        run_id = nothing.execute_in_process(instance=instance, tags=tags).run_id
    keep_arrival(deployment, run_id)
    return run_id


def keep_arrival(deployment: Deployment, run_id: str) -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    Ledger(Warehouse(root=str(deployment.root))).append(Arrival(run_id, "orders", "", "f", 1, 0, moment, run_id))


def replays_alone(deployment: Deployment) -> None:
    for tag in REPLAY_TAGS:
        run(deployment, replayed=True, tag=tag)


def replayed_then_live(deployment: Deployment) -> None:
    run(deployment, replayed=True)
    run(deployment, replayed=False)


def replayed_then_served(deployment: Deployment) -> None:
    run(deployment, replayed=True)
    (deployment.root / "ui.lock").touch()


def replayed_then_fed_from_another_instance(deployment: Deployment) -> None:
    run(deployment, replayed=True)
    keep_arrival(deployment, "made-by-dagster-dev")


def without_a_word_of_its_runs(deployment: Deployment) -> None:
    keep_arrival(deployment, "unknown")


def nothing_at_all(deployment: Deployment) -> None:
    deployment.root.mkdir()


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(book=tmp_path / "metadata", root=tmp_path / "root")


@pytest.mark.parametrize(
    ("history", "live"),
    [
        (nothing_at_all, False),
        (replays_alone, False),
        (replayed_then_live, True),
        (replayed_then_served, True),
        (replayed_then_fed_from_another_instance, True),
        (without_a_word_of_its_runs, True),
    ],
)
def test_a_root_of_before_marks_is_taken_for_live_unless_all_of_it_is_a_replays(
    deployment: Deployment, history: Callable[[Deployment], None], *, live: bool
) -> None:
    history(deployment)
    before = contents_of(deployment.root)
    if live:
        with pytest.raises(StorageError, match="it is live") as refused:
            make_room(deployment, fresh=True)
        assert f"metaplatform root remove {deployment.root}" in str(refused.value)
        assert contents_of(deployment.root) == before
    else:
        make_room(deployment, fresh=True)
        assert contents_of(deployment.root) == ()
        assert use_of(deployment.root) == "replay"


def test_a_root_of_replays_is_cleared_when_asked_and_not_otherwise(deployment: Deployment) -> None:
    make_room(deployment, fresh=False)
    run(deployment, replayed=True)
    with pytest.raises(StorageError, match="--fresh"):
        make_room(deployment, fresh=False)
    assert contents_of(deployment.root) != ()
    make_room(deployment, fresh=True)
    assert contents_of(deployment.root) == ()


def test_a_marked_live_root_is_refused_even_with_nothing_in_it(deployment: Deployment) -> None:
    mark_root(deployment.root, "live")
    for fresh in (False, True):
        with pytest.raises(StorageError, match="it is live"):
            make_room(deployment, fresh=fresh)


def test_serving_what_a_replay_made_makes_it_live_and_says_so_once(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    mark_root(deployment.root, "replay")
    _go_live(deployment.root)
    assert f"metaplatform root remove {deployment.root}" in capsys.readouterr().out
    _go_live(deployment.root)
    assert capsys.readouterr().out == ""
    with pytest.raises(StorageError, match="it is live"):
        make_room(deployment, fresh=True)

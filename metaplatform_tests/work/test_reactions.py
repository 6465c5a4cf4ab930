"""Reactions act on rows, each of them once, whatever is scored again, killed, or asked for twice."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from metaplatform.factories.automation.sensors import reactions
from metaplatform.factories.automation.state import Loop
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.match_records import MatchRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.records.ledger import Action, Observation
from metaplatform.work.acted_rows import note_matches
from metaplatform.work.reactions import act
from metaplatform.work.steps import APPLY_TAG, STAND_BY_TAG, Metadata, Step
from metaplatform_tests.compute.policy.books import SHOP, book
from metaplatform_tests.work.steps import step_at

DAY = "2024-01-01"
NOW = datetime(2024, 1, 2, tzinfo=UTC)
ALARM = "alarm: {prediction: likely, when: probability > 0.9, materialize: [raw.prices, outputs.alarm]"
TOLD = "alarm: {description: Call them., notify: [{kind: file}], prediction: likely, when: probability > 0.9"


@pytest.fixture(scope="module")
def shop() -> Manifest:
    assert ALARM in SHOP
    return book(SHOP.replace(ALARM, TOLD))


class Shop:
    """One prediction, scored again and again, and the reaction to it."""

    def __init__(self, manifest: Manifest, root: Path) -> None:
        self.manifest, self.root = manifest, root
        self.warehouse, self.notifier = Warehouse(root=str(root)), Notifier(root=str(root))
        self.runs = 0

    def step(self, ref: str, partition: str | None, tags: dict[str, str] | None = None) -> Step:
        self.runs += 1
        return step_at(
            self.manifest,
            ref,
            self.warehouse,
            NOW,
            partition,
            run_id=f"run{self.runs}",
            notifier=self.notifier,
            tags=tags,
        )

    def score(
        self,
        scores: dict[int, float],
        *,
        version: int = 1,
        partition: str | None = DAY,
        tags: Any = None,
        key: Any = None,
    ) -> int:
        """Score rows by their id; return how many the reaction has to act on."""
        ids = list(scores)
        rows = pa.table(
            {
                "id": pa.array(ids, key or pa.int64()),
                "at": pa.array([NOW - timedelta(hours=int(each) % 24) for each in ids], pa.timestamp("us", "UTC")),
                "probability": pa.array(scores.values(), pa.float64()),
                "model_version": pa.array([version] * len(ids), pa.int64()),
            }
        )
        step = self.step("predictions.likely", partition, tags)
        self.warehouse.replace(step.ref, rows, partition=partition, metadata=step.commit)
        with self.warehouse.session() as session:
            note_matches(session, step, "likely")
        found = MatchRecords(self.root).read("alarm").get(partition or "")
        return found.rows if found else 0

    def react(self, partition: str | None = DAY) -> Metadata:
        return act(self.step("reactions.alarm", partition)).metadata

    @property
    def acted(self) -> list[int]:
        """Return the ids of the rows acted on, as often as they stand there."""
        with self.warehouse.session() as session:
            rows = session.stream(session.table("reactions.alarm")).read_all().to_pylist()
        return sorted(int(row["id"]) for row in rows if row["action_id"])

    @property
    def messages(self) -> list[dict[str, Any]]:
        self.notifier.deliver(NOW)
        path = self.root / "notifications" / "alarm.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def world(shop: Manifest, tmp_path: Path) -> Shop:
    return Shop(shop, tmp_path)


@pytest.mark.parametrize("partition", [DAY, None])
def test_rows_that_come_later_are_acted_on_and_those_before_are_not(world: Shop, partition: str | None):
    assert world.score({1: 0.95, 2: 0.5, 3: 0.99}, partition=partition) == 2
    assert world.react(partition)["dagster/row_count"] == 2
    assert world.score({1: 0.95, 2: 0.5, 3: 0.99, 4: 0.97}, partition=partition) == 1
    assert world.react(partition)["dagster/row_count"] == 1
    assert world.score({1: 0.95, 2: 0.5, 3: 0.99, 4: 0.97}, partition=partition) == 0
    assert world.react(partition)["acted"] is False
    assert world.acted == [1, 3, 4]
    assert sorted(message["facts"]["rows"] for message in world.messages) == [1, 2]
    assert sorted(action.rows for action in Ledger(world.warehouse).read(Action)) == [1, 2]


def test_another_version_acts_on_the_rows_that_are_new_to_the_reaction(world: Shop):
    world.score({1: 0.95, 2: 0.5})
    world.react()
    assert world.score({1: 0.99, 2: 0.98}, version=2) == 1
    world.react()
    assert world.acted == [1, 2]


def test_another_version_acts_on_all_rows_where_the_book_says_so(tmp_path: Path):
    world = Shop(book(SHOP.replace(ALARM, f"{ALARM}, on_new_version: true")), tmp_path)
    world.score({1: 0.95, 2: 0.5})
    world.react()
    assert world.score({1: 0.99, 2: 0.98}, version=2) == 2
    world.react()
    assert world.score({1: 0.99, 2: 0.98}, version=2) == 0
    assert world.acted == [1, 1, 2]


def test_rows_wait_until_they_are_as_many_as_the_reaction_takes(tmp_path: Path):
    world = Shop(book(SHOP.replace(ALARM, f"{ALARM}, min_rows: 2")), tmp_path)
    world.score({1: 0.95})
    assert world.react()["acted"] is False
    assert world.score({1: 0.95, 2: 0.97}) == 2
    assert world.react()["dagster/row_count"] == 2


def test_what_a_backfill_scores_is_left_alone_then_and_later_and_new_rows_are_not(world: Shop):
    assert world.score({1: 0.95}, tags={APPLY_TAG: "true"}) == 0
    assert world.score({1: 0.95, 2: 0.97}) == 1
    world.react()
    assert world.acted == [2]


def test_a_replay_without_reactions_leaves_nothing_to_act_on(world: Shop):
    assert world.score({1: 0.95}, tags={STAND_BY_TAG: "true"}) == 0
    assert not (world.root / "warehouse" / "reactions").exists()


def test_a_key_that_changes_its_type_is_the_same_key(world: Shop):
    world.score({1: 0.95})
    world.react()
    assert world.score({1: 0.95, 2: 0.95}, key=pa.int32()) == 1
    world.react()
    assert world.acted == [1, 2]


class Killed(BaseException):
    """What a run that is killed never sees."""


@pytest.mark.parametrize("place", ["tell", "append"])
def test_a_run_killed_between_keeping_its_rows_and_telling_is_finished_by_the_next(
    world: Shop, place: str, monkeypatch: pytest.MonkeyPatch
):
    def killed(*_: object, **__: object) -> None:
        raise Killed

    world.score({1: 0.95, 2: 0.96})
    with monkeypatch.context() as patch:
        patch.setattr({"tell": Notifier, "append": Ledger}[place], place, killed)
        with pytest.raises(Killed):
            world.react()
    assert world.score({1: 0.95, 2: 0.96, 3: 0.97}) == 1, "the killed run's rows are acted on"
    world.react()
    assert world.acted == [1, 2, 3]
    assert sorted(message["facts"]["rows"] for message in world.messages) == [1, 2]
    assert len(Ledger(world.warehouse).read(Action)) == 2


def test_two_runs_at_once_act_on_each_row_once(world: Shop):
    """The second one gets its turn when the first one has kept its rows."""
    from concurrent.futures import ThreadPoolExecutor

    world.score(dict.fromkeys(range(50), 0.95))
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: world.react(), range(4)))
    assert sorted(each["acted"] for each in done) == [False, False, False, True]
    assert world.acted == list(range(50))
    assert len(world.messages) == 1


def test_what_is_scored_while_a_reaction_acts_stays_open(world: Shop, monkeypatch: pytest.MonkeyPatch):
    world.score({1: 0.95})
    tell = Notifier.tell

    def scores_meanwhile(notifier: Notifier, *rest: Any) -> bool:
        records = MatchRecords(world.root)
        records.keep("alarm", {DAY: replace(records.read("alarm")[DAY], rows=7, run_id="later")})
        return tell(notifier, *rest)

    monkeypatch.setattr(Notifier, "tell", scores_meanwhile)
    world.react()
    assert MatchRecords(world.root).read("alarm")[DAY].rows == 7


def test_a_message_says_what_happened(world: Shop):
    world.score({number: 0.9 + number / 1_000 for number in range(1, 31)})
    world.react()
    [message] = world.messages
    assert message["title"] == f"alarm: 30 rows in {DAY}"
    lines = message["body"].splitlines()
    assert lines[0] == "Call them."
    assert lines[2].startswith(f"30 rows of predictions.likely in {DAY}, scored by version 1 of returns, meet `probab")
    assert lines[4].split() == ["id", "at", "probability"]
    assert lines[5].split() == ["30", "2024-01-01", "18:00", "UTC", "0.93"]
    assert len(lines) == 4 + 1 + 10 + 1
    assert lines[-1] == "and 20 more"
    assert message["facts"] == {
        "prediction": "likely",
        "partition": DAY,
        "model": "returns",
        "model_version": 1,
        "rows": 30,
        "condition": "probability > 0.9",
    }
    assert message["links"]["run"] == "/runs/run2"
    assert message["event_id"] == Ledger(world.warehouse).read(Action)[0].action_id


def test_a_message_shows_the_columns_and_the_order_that_the_book_declares(tmp_path: Path):
    more = f"{TOLD}, columns: [probability, id], rank_by: -id"
    world = Shop(book(SHOP.replace(ALARM, more)), tmp_path)
    world.score({3: 0.91, 1: 0.92, 2: 0.99})
    world.react()
    [message] = world.messages
    assert [line.split() for line in message["body"].splitlines()[4:]] == [
        ["probability", "id"],
        ["0.92", "1"],
        ["0.99", "2"],
        ["0.91", "3"],
    ]


def test_what_is_kept_of_a_partition_is_read_and_written_alone(world: Shop):
    world.score({1: 0.95})
    world.react()
    before = world.warehouse.partitions("reactions.alarm")[DAY]
    world.score({1: 0.95, 2: 0.95}, partition="2024-01-02")
    world.react("2024-01-02")
    after = world.warehouse.partitions("reactions.alarm")
    assert (after[DAY], after["2024-01-02"].rows) == (before, 2)


class TestAFailedProfile:
    """It holds back what the rows of its partition would set in motion, and people are told of it."""

    @staticmethod
    def judge(world: Shop, status: str, partition: str = DAY) -> None:
        number = len(Ledger(world.warehouse).read(Observation))
        about = ("likely_drift", "drift", "returns", 1, "profile", "", partition)
        judged_at = NOW + timedelta(seconds=number)
        found = Observation(f"o{number}", *about, 1.0, 0.0, 100, status, "size: no value", judged_at, "judged")
        Ledger(world.warehouse).append(found)

    @staticmethod
    def tick(world: Shop) -> list[str]:
        """Return the partitions that a look of the sensor lets the reaction act on."""
        loop = Loop(world.manifest, world.warehouse, None, NOW, notifier=world.notifier)  # type: ignore[arg-type]
        found = reactions(loop, None)  # type: ignore[arg-type]
        return [plan.partition for plan in found.plans]

    def test_holds_its_partition_until_a_later_profile_of_it_passes(self, world: Shop):
        world.score({1: 0.95})
        self.judge(world, "failed")
        assert [self.tick(world) for _ in range(2)] == [[], []]
        [held] = world.messages
        assert "no value" in held["body"]
        assert "metaplatform approve predictions.likely --partition 2024-01-01" in held["body"]
        world.score({1: 0.93, 2: 0.98}, partition="2024-01-02")
        self.judge(world, "passed", "2024-01-02")
        assert self.tick(world) == ["2024-01-02"], "what is sound is acted on meanwhile"
        self.judge(world, "passed")
        assert self.tick(world) == [DAY, "2024-01-02"]
        assert self.tick(world) == [DAY, "2024-01-02"], "until it has acted"
        assert [message["title"] for message in world.messages] == [
            "alarm is held back in 2024-01-01: size: no value",
            "alarm is held back no longer in 2024-01-01",
        ]

    def test_whose_partition_is_scored_again_without_a_row_to_act_on_is_told_to_be_over(self, world: Shop):
        world.score({1: 0.95})
        self.judge(world, "failed")
        self.tick(world)
        world.score({1: 0.2})
        self.judge(world, "passed")
        assert self.tick(world) == []
        assert "alarm is held back no longer in 2024-01-01" in [message["title"] for message in world.messages]
        assert MatchRecords(world.root).read("alarm") == {}

    def test_of_rows_too_few_to_act_on_is_told_to_nobody(self, tmp_path: Path):
        world = Shop(book(SHOP.replace(ALARM, f"{TOLD}, min_rows: 2")), tmp_path)
        world.score({1: 0.95})
        self.judge(world, "failed")
        assert self.tick(world) == []
        assert world.messages == []

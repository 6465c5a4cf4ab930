"""Reactions: each acts once for a scored partition and version, and leaves backfills alone."""

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.policy.reacting import ScoredPartition, action_id, due_reactions, plan_reaction
from metaplatform.specs.records import Action
from metaplatform_tests.compute.policy.books import SHOP, book
from metaplatform_tests.compute.policy.world import at

SHOP_BOOK = book(SHOP)
ON_BACKFILL = book(SHOP.replace("alarm: {prediction", "alarm: {on_backfill: true, min_rows: 3, prediction"))


def scored(partition: str = "2024-01-01", version: int = 1, *, backfill: bool = False, prediction: str = "likely"):
    return ScoredPartition(prediction, partition, version, backfill)


def action(partition: str, version: int) -> Action:
    key = action_id("alarm", partition, version)
    return Action(key, "alarm", "likely", partition, version, 5, "", "", at("2024-01-02"), "run")


def test_a_newly_scored_partition_is_asked_about_once() -> None:
    assert [seen for _, seen in due_reactions(SHOP_BOOK, [scored(), scored()], [])] == [scored()]


def test_what_was_acted_upon_is_not_asked_about_again() -> None:
    assert due_reactions(SHOP_BOOK, [scored()], [action("2024-01-01", 1)]) == ()


def test_another_version_or_partition_is_asked_about() -> None:
    seen = [scored(version=2), scored("2024-01-02")]
    assert [found for _, found in due_reactions(SHOP_BOOK, seen, [action("2024-01-01", 1)])] == seen


def test_a_prediction_that_nothing_reacts_to_is_left_alone() -> None:
    assert due_reactions(SHOP_BOOK, [scored(prediction="other")], []) == ()


def test_backfills_are_left_alone_unless_the_book_asks_for_them() -> None:
    assert due_reactions(SHOP_BOOK, [scored(backfill=True)], []) == ()
    assert len(due_reactions(ON_BACKFILL, [scored(backfill=True)], [])) == 1


def test_a_partition_scored_by_a_backfill_and_by_the_loop_is_asked_about() -> None:
    assert len(due_reactions(SHOP_BOOK, [scored(backfill=True), scored(), scored(backfill=True)], [])) == 1


def test_too_few_rows_set_nothing_in_motion() -> None:
    reaction = ON_BACKFILL.reactions["alarm"]
    assert plan_reaction(reaction, scored(), 2) is None
    assert plan_reaction(reaction, scored(), 3) is not None


def test_a_reaction_materializes_first_and_says_why() -> None:
    plan = plan_reaction(SHOP_BOOK.reactions["alarm"], scored(version=7), 12)
    assert plan.refs == ("raw.prices", "outputs.alarm", "reactions.alarm")
    assert (plan.partition, plan.tags) == ("2024-01-01", {"metaplatform/model_version": "7"})
    assert plan.reason == "12 rows of 2024-01-01 by version 7 meet: probability > 0.9"


partitions = st.sampled_from(["", "2024-01-01", "2024-01-02"])
events = st.lists(st.builds(scored, partitions, st.integers(1, 3), backfill=st.booleans()), max_size=30)


@given(events, st.lists(st.integers(0, 30), max_size=5))
def test_over_any_history_each_partition_and_version_is_acted_upon_at_most_once(
    history: list[ScoredPartition], restarts: list[int]
) -> None:
    """Ticks see any part of the history, again after each restart; every run acts and is kept."""
    acted: list[Action] = []
    keys: list[str] = []
    for start in (*restarts, 0):
        due = due_reactions(SHOP_BOOK, history[start:], acted)
        keys.extend(plan_reaction(reaction, seen, 1).key for reaction, seen in due)
        acted.extend(action(seen.partition, seen.model_version) for _, seen in due)
    assert len(set(keys)) == len(keys)
    wanted = {(seen.partition, seen.model_version) for seen in history if not seen.backfill}
    assert {(done.partition, done.model_version) for done in acted} == wanted

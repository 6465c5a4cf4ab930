"""Scoring: which partitions are brought to which version; and when realized performance is judged."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.policy.plans import RunPlan
from metaplatform.compute.policy.scoring import ScoringState, VersionState, plan_performance, plan_scoring
from metaplatform_tests.compute.policy.books import PLAIN, SHOP, STACKED, book
from metaplatform_tests.compute.policy.world import at

SHOP_BOOK, PLAIN_BOOK, STACKED_BOOK = book(SHOP), book(PLAIN), book(STACKED)
DAYS = tuple(f"2024-01-{day:02}" for day in range(1, 7))
EARLY = at("2023-12-01")


def shop(version: int, scored: dict[str, int], trained_until: datetime = EARLY, **fields: object) -> ScoringState:
    facts = {
        "wanted": {"likely": VersionState(version, trained_until)},
        "features": {"likely": frozenset(DAYS)},
        "scored": {"likely": scored},
        "judged": frozenset(),
    }
    return ScoringState(**facts | fields)


def asked(plans: tuple[RunPlan, ...]) -> list[str]:
    return [plan.partition for plan in plans]


def test_without_a_version_nothing_is_scored() -> None:
    assert plan_scoring(SHOP_BOOK, shop(1, {}, wanted={})) == ()


def test_what_the_wanted_version_has_scored_is_left_alone() -> None:
    assert plan_scoring(SHOP_BOOK, shop(1, dict.fromkeys(DAYS, 1))) == ()


def test_a_new_version_redoes_the_newest_partition_only() -> None:
    (plan,) = plan_scoring(SHOP_BOOK, shop(2, dict.fromkeys(DAYS, 1), trained_until=at("2024-01-06T12:00")))
    assert (plan.partition, plan.refs[0]) == (DAYS[-1], "predictions.likely")
    assert plan.reason == "version 2 scores in place of version 1"


def test_a_version_that_has_learnt_from_all_of_the_newest_partition_leaves_it_alone_unless_the_book_says_so() -> None:
    learnt = shop(2, dict.fromkeys(DAYS, 1), trained_until=at("2024-01-07"))
    assert plan_scoring(SHOP_BOOK, learnt) == ()
    asked_for = {"likely": VersionState(2, at("2024-01-07"), in_sample=True)}
    assert asked(plan_scoring(SHOP_BOOK, replace(learnt, wanted=asked_for))) == [DAYS[-1]]


def test_a_version_that_comes_back_redoes_the_newest_partition_again() -> None:
    keys = []
    for number, (wanted, before) in enumerate([(2, 1), (1, 2), (2, 1), (1, 2)]):
        stored = {"likely": {DAYS[-1]: f"files {number}"}}
        (plan,) = plan_scoring(SHOP_BOOK, shop(wanted, dict.fromkeys(DAYS, before), contents=stored))
        keys.append(plan.key)
    assert len(set(keys)) == 4


def test_the_same_facts_are_the_same_run() -> None:
    state = shop(2, dict.fromkeys(DAYS, 1), contents={"likely": {DAYS[-1]: "files"}})
    assert plan_scoring(SHOP_BOOK, state) == plan_scoring(SHOP_BOOK, replace(state))


def test_partitions_that_a_version_was_trained_on_are_never_caught_up_with() -> None:
    plans = plan_scoring(SHOP_BOOK, shop(1, {}, trained_until=at("2024-01-04T12:00")))
    assert asked(plans) == ["2024-01-05", "2024-01-06"]
    assert plans[0].reason == "version 1 scores: nothing is scored yet"


def test_a_partition_that_starts_where_the_training_rows_end_is_caught_up_with() -> None:
    assert asked(plan_scoring(SHOP_BOOK, shop(1, {}, trained_until=at("2024-01-06")))) == ["2024-01-06"]


def test_a_gap_that_a_failed_run_left_is_scored() -> None:
    scored = {day: 1 for day in DAYS if day != DAYS[2]}
    assert asked(plan_scoring(SHOP_BOOK, shop(1, scored))) == [DAYS[2]]


def test_a_prediction_whose_newest_partition_has_no_features_is_not_redone() -> None:
    assert plan_scoring(SHOP_BOOK, shop(2, {"2024-01-09": 1}, features={"likely": frozenset()})) == ()


def test_what_follows_goes_along_but_nothing_that_a_reaction_makes() -> None:
    (plan,) = plan_scoring(SHOP_BOOK, shop(2, dict.fromkeys(DAYS, 1)))
    outputs = ("outputs.likely_file", "outputs.everything", "outputs.likely_by_country")
    assert plan.refs == ("predictions.likely", *outputs)
    assert plan.monitors == ("likely_drift",)


def test_an_output_whose_other_input_is_missing_does_not_follow() -> None:
    built = {"features.order_features": frozenset(DAYS), "predictions.likely": frozenset(DAYS)}
    (plan,) = plan_scoring(SHOP_BOOK, shop(2, dict.fromkeys(DAYS, 1), built=built))
    assert "outputs.likely_by_country" not in plan.refs
    assert "outputs.likely_file" in plan.refs


@pytest.mark.parametrize(
    "busy", ["predictions.likely", "features.order_features", "outputs.likely_file", "outputs.likely_by_country"]
)
def test_nothing_is_scored_beside_an_unfinished_run_of_it_or_of_its_features(busy: str) -> None:
    assert plan_scoring(SHOP_BOOK, shop(2, dict.fromkeys(DAYS, 1), busy=frozenset({busy}))) == ()


def test_a_training_under_way_holds_no_scoring_up() -> None:
    assert plan_scoring(SHOP_BOOK, shop(2, dict.fromkeys(DAYS, 1), busy=frozenset({"models.returns"})))


@pytest.mark.parametrize(("scored", "due"), [({}, True), ({"": 1}, True), ({"": 2}, False)])
def test_a_prediction_without_partitions_is_redone_whole_and_judged(scored: dict[str, int], due: bool) -> None:  # noqa: FBT001  # a parameter
    state = ScoringState(
        wanted={"priced": VersionState(2, EARLY)},
        features={"priced": frozenset({""})},
        scored={"priced": scored},
        judged=frozenset(),
    )
    plans = plan_scoring(PLAIN_BOOK, state)
    assert bool(plans) == due
    for plan in plans:
        assert plan.refs == ("predictions.priced", "tables.guessed", "outputs.priced_file")
        assert plan.monitors == ("priced_drift", "priced_performance")
    assert plan_scoring(PLAIN_BOOK, replace(state, features={"priced": frozenset()})) == ()


def test_a_prediction_behind_another_is_redone_in_the_run_of_the_other() -> None:
    months = frozenset({"2024-01"})
    state = ScoringState(
        wanted={"costs": VersionState(2, EARLY), "lateness": VersionState(2, EARLY)},
        features={"costs": months, "lateness": months},
        scored={"costs": {"2024-01": 1}, "lateness": {"2024-01": 1}},
        judged=frozenset(),
    )
    (plan,) = plan_scoring(STACKED_BOOK, state)
    assert plan.refs == (
        "predictions.lateness",
        "tables.risky",
        "features.risk",
        "predictions.costs",
        "outputs.costs_file",
    )
    (alone,) = plan_scoring(STACKED_BOOK, replace(state, scored={**state.scored, "lateness": {"2024-01": 2}}))
    assert alone.refs == ("predictions.costs", "outputs.costs_file")


# Realized performance.
def test_a_partition_is_judged_when_its_last_label_is_mature() -> None:
    state = shop(1, {DAYS[0]: 1, DAYS[1]: 1})
    assert asked(plan_performance(SHOP_BOOK, state, at("2024-01-03T23:59:59"))) == []
    assert asked(plan_performance(SHOP_BOOK, state, at("2024-01-04"))) == [DAYS[0]]
    (first, second) = plan_performance(SHOP_BOOK, state, at("2024-01-05"))
    assert (first.partition, first.monitors, first.refs) == (DAYS[0], ("likely_performance",), ())
    assert first.key != second.key


def test_a_judged_partition_is_not_judged_again() -> None:
    state = shop(1, {DAYS[0]: 1}, judged=frozenset({("likely_performance", DAYS[0])}))
    assert plan_performance(SHOP_BOOK, state, at("2024-03-01")) == ()


def test_a_prediction_in_the_making_is_not_judged() -> None:
    state = shop(1, {DAYS[0]: 1}, busy=frozenset({"predictions.likely"}))
    assert plan_performance(SHOP_BOOK, state, at("2024-03-01")) == ()


def test_a_prediction_without_partitions_is_judged_when_it_is_scored_only() -> None:
    state = ScoringState({}, {}, {"priced": {"": 1}}, frozenset())
    assert plan_performance(PLAIN_BOOK, state, at("2024-03-01")) == ()


promotions = st.lists(st.integers(1, 4), max_size=8)


@given(promotions, st.sets(st.sampled_from(DAYS)), st.integers(0, 8))
def test_over_any_promotions_each_scoring_is_one_run_and_then_there_is_rest(
    champions: list[int], days: set[str], trained_days: int
) -> None:
    """Whatever becomes champion, forwards or back: the newest partition is by it, and no run key comes twice."""
    scored: dict[str, int] = {}
    files: dict[str, str] = {}
    keys: list[str] = []
    until = at(f"2024-01-{1 + trained_days:02}")
    for champion in champions:
        state = shop(
            champion, scored, trained_until=until, features={"likely": frozenset(days)}, contents={"likely": files}
        )
        for plan in plan_scoring(SHOP_BOOK, state):
            keys.append(plan.key)
            scored[plan.partition], files[plan.partition] = champion, f"file {len(keys)}"
        assert plan_scoring(SHOP_BOOK, replace(state, contents={"likely": files})) == ()
        assert not scored or scored[max(scored)] == champion
        assert set(scored) == {day for day in days if at(day) >= until}
    assert len(set(keys)) == len(keys)

"""Reactions: they act on open rows, once the run that scored them has ended and nothing holds them back."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.policy.reacting import OpenMatches, open_matches, plan_reaction, told_of
from metaplatform.specs.records.ledger import Observation
from metaplatform.specs.records.matches import Matches
from metaplatform_tests.compute.policy.books import SHOP, book
from metaplatform_tests.compute.policy.world import at

DAY, NEXT = "2024-01-01", "2024-01-02"
SHOP_BOOK = book(SHOP)
MANY = book(SHOP.replace("alarm: {prediction", "alarm: {min_rows: 3, prediction"))
FOUND = Matches("likely", rows=2, model_version=7, run_id="run")


def profile(status: str, partition: str = DAY, number: int = 1, monitor: str = "likely_drift") -> Observation:
    return Observation(
        *(f"{partition}-{number}", monitor, "drift", "returns", 7, "profile", "", partition),
        *(1.0, 0.0, 100, status, "amount", at("2024-01-02"), "run"),
    )


def opened(
    kept: dict[str, Matches], profiles: tuple[Observation, ...] = (), approved: tuple[str, ...] = (), at_work: str = ""
) -> dict[str, OpenMatches]:
    found = open_matches(SHOP_BOOK, {"alarm": kept}, profiles, approved, {at_work})
    return {matches.partition: matches for matches in found}


def due(*args: object) -> list[str]:
    return [partition for partition, matches in opened(*args).items() if matches.due]  # type: ignore[arg-type]


def test_open_rows_are_acted_on_in_one_run_that_materializes_first_and_says_why() -> None:
    [matches] = opened({DAY: FOUND}).values()
    assert matches.due
    plan = plan_reaction(matches)
    assert plan.refs == ("raw.prices", "outputs.alarm", "reactions.alarm")
    assert (plan.partition, plan.tags) == (DAY, {})
    assert plan.reason == "2 new rows of 2024-01-01 by version 7 meet: probability > 0.9"


def test_one_scoring_leads_to_one_run_and_the_next_to_another() -> None:
    def key(found: Matches) -> str:
        return plan_reaction(OpenMatches(SHOP_BOOK.reactions["alarm"], DAY, found)).key

    assert key(FOUND) == key(replace(FOUND, rows=9))
    assert key(FOUND) != key(replace(FOUND, run_id="another"))


def test_too_few_rows_set_nothing_in_motion_and_say_how_many_it_takes() -> None:
    reaction = MANY.reactions["alarm"]
    few = OpenMatches(reaction, DAY, FOUND)
    assert not few.due
    assert told_of(few) == "alarm: 2 rows of 2024-01-01 of the 3 that it takes"
    assert OpenMatches(reaction, DAY, replace(FOUND, rows=3)).due


def test_a_run_that_may_still_judge_what_it_scored_is_waited_for() -> None:
    assert due({DAY: FOUND}, (), (), "run") == []
    assert due({DAY: FOUND}, (), (), "another") == [DAY]


def test_what_was_found_for_another_prediction_is_nothing_to_act_on() -> None:
    assert opened({DAY: replace(FOUND, prediction="before")}) == {}


def test_a_failed_profile_holds_back_its_partition_alone() -> None:
    held = opened({DAY: FOUND, NEXT: FOUND}, (profile("failed"), profile("passed", NEXT)))
    assert {partition: matches.due for partition, matches in held.items()} == {DAY: False, NEXT: True}
    assert "held back: the profile of likely_drift failed: amount" in told_of(held[DAY])


def test_a_profile_that_passes_later_or_a_person_lifts_the_hold() -> None:
    failed = profile("failed")
    assert due({DAY: FOUND}, (failed,)) == []
    assert due({DAY: FOUND}, (failed, profile("passed", number=2))) == [DAY]
    assert due({DAY: FOUND}, (failed,), (failed.observation_id,)) == [DAY]
    assert due({DAY: FOUND}, (failed, profile("failed", number=2)), (failed.observation_id,)) == []


def test_what_could_not_be_judged_neither_holds_nor_lifts() -> None:
    assert due({DAY: FOUND}, (profile("skipped"),)) == [DAY]
    assert due({DAY: FOUND}, (profile("failed"), profile("skipped", number=2))) == []


def test_a_monitor_that_is_gone_holds_nothing() -> None:
    assert due({DAY: FOUND}, (profile("failed", monitor="gone"),)) == [DAY]


VERDICTS = st.lists(
    st.tuples(st.sampled_from(["passed", "failed", "skipped"]), st.sampled_from([DAY, NEXT])), max_size=9
)


@given(VERDICTS, st.sets(st.integers(0, 8)))
def test_a_partition_is_held_exactly_if_its_newest_verdict_failed_and_nobody_approved_it(
    verdicts: list[tuple[str, str]], approved: set[int]
) -> None:
    seen = [profile(status, partition, number) for number, (status, partition) in enumerate(verdicts)]
    expected = []
    for partition in (DAY, NEXT):
        said = [each for each in seen if each.partition == partition and each.status != "skipped"]
        if not said or said[-1].status == "passed" or int(said[-1].observation_id.rpartition("-")[2]) in approved:
            expected.append(partition)
    ids = tuple(each.observation_id for number, each in enumerate(seen) if number in approved)
    assert due({DAY: FOUND, NEXT: FOUND}, tuple(seen), ids) == expected

"""The retrain policy: when it says retrain, when it waits, and that it never says so twice."""

from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from metaplatform.compute.label_counts import Tally
from metaplatform.compute.policy.retraining import Refusal, decide, take_back, taken_back
from metaplatform.compute.policy.votes import failed_profile
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import Window
from metaplatform.specs.records.ledger import Decision, Observation
from metaplatform_tests.compute.policy.observing import (
    DRIFT,
    PERFORMANCE,
    day,
    model,
    policy,
    rows_for,
    seen,
    state,
    tally,
    vote,
)

DRIFTS = model(policy(drift=vote()))
TWO_OF_THREE = model(policy(drift=vote(failures=2, of=3)))


def outcome(decision: Decision | None) -> tuple[str, str] | None:
    return decision and (decision.outcome, decision.trigger)


def test_a_model_without_a_policy_is_never_decided_upon() -> None:
    assert decide(model(None), state(seen("05")), day(0)) is None


def test_a_policy_that_nothing_was_said_to_says_nothing() -> None:
    assert decide(DRIFTS, state(), day(0)) is None


def test_a_failed_evaluation_asks_for_a_retrain_and_is_named_in_it() -> None:
    decision = decide(DRIFTS, state(seen("05")), day(0))
    assert outcome(decision) == ("retrain", "drift")
    assert decision.causes == f"{DRIFT}/v1/05"
    assert "05 data_drift 0.7 against 0.5" in decision.reasons


def test_a_passed_evaluation_is_kept_as_a_reason_to_wait() -> None:
    assert outcome(decide(DRIFTS, state(seen("05", "passed")), day(0))) == ("wait", "")


def test_failures_that_ask_for_nothing_say_why() -> None:
    few = decide(TWO_OF_THREE, state(seen("05")), day(0))
    assert (outcome(few), few.held_by) == (("wait", ""), "more failures are needed to ask for a retrain")
    retrain = decide(DRIFTS, state(seen("05")), day(0))
    again = decide(DRIFTS, state(seen("05"), retrains=[retrain]), day(0))
    assert (outcome(again), again.held_by) == (("wait", ""), "an earlier retrain has answered it")
    assert (again.seen, again.reasons) == (retrain.reasons, f"{retrain.reasons}; but {again.held_by}")


@pytest.mark.parametrize(
    "silent",
    [
        seen("05", "skipped"),
        seen("05", check="profile"),
        seen("05", column="amount"),
        seen("05", monitor="somebody_else"),
        seen("05", model_version=2),
        seen("05", model_version=0),
    ],
    ids=["skipped", "profile", "column", "other monitor", "other version", "no version"],
)
def test_what_is_no_verdict_on_the_champion_never_asks_for_a_retrain(silent: Observation) -> None:
    assert decide(DRIFTS, state(silent), day(0)) is None


@pytest.mark.parametrize("asker", ["drift", "performance", "new_rows", "schedule"])
def test_whatever_asks_waits_while_a_retrain_would_learn_next_to_nothing_new(asker: str) -> None:
    asked = model(policy(drift=vote(), performance=vote(PERFORMANCE), new_rows=1, schedule="0 6 1 * *"))
    failed = {"drift": [seen("05")], "performance": [seen("05", monitor=PERFORMANCE, check="roc_auc")]}.get(asker, [])
    tick = day(0) if asker == "schedule" else None

    def outcome_for(new_rows: int) -> Decision:
        return decide(asked, state(*failed, prospect=rows_for(new_rows=new_rows)), day(0), scheduled_for=tick)

    assert outcome_for(10).outcome == "retrain"
    assert "only 9 of 10 new labelled rows since the last training" in outcome_for(9).reasons
    if asker != "new_rows":
        assert "no label has matured since the last training" in outcome_for(0).reasons


def test_the_book_says_how_many_new_rows_are_worth_a_retrain() -> None:
    demanding = model(policy(drift=vote(), min_new_rows=200))
    assert outcome(decide(demanding, state(seen("05"), prospect=rows_for(new_rows=199)), day(0))) == ("wait", "drift")
    assert outcome(decide(demanding, state(seen("05"), prospect=rows_for(new_rows=200)), day(0))) == (
        "retrain",
        "drift",
    )


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ({"training": tally(99)}, "only 99 of 100 labelled rows before the holdout"),
        ({"training": Tally(900, 1.0, 1.0)}, "all 900 labels before the holdout are 1: one class only"),
        ({"compared": tally(499)}, "only 499 of 500 labelled rows to compare with the champion on"),
        ({"compared": Tally(900, 0.0, 0.0)}, "roc_auc cannot be compared: all 900 labels are 0: one class only"),
    ],
)
def test_what_could_not_be_made_or_not_be_judged_is_waited_for_and_told(rows: dict[str, Tally], told: str) -> None:
    decision = decide(DRIFTS, state(seen("05"), prospect=rows_for(**rows)), day(0))
    assert outcome(decision) == ("wait", "drift")
    assert told in decision.reasons


def test_without_a_labelled_row_failures_wait() -> None:
    assert "there is no labelled row" in decide(DRIFTS, state(seen("05"), prospect=None), day(0)).reasons


def profile(partition: str, status: str, **fields: object) -> Observation:
    return seen(partition, status, check="profile", detail="age", **fields)


def test_a_failed_profile_holds_a_retrain_back_until_a_later_partition_passes() -> None:
    failed = state(seen("05"), profile("05", "failed"))
    waiting = decide(DRIFTS, failed, day(0))
    assert outcome(waiting) == ("wait", "drift")
    assert "the data of 05 are at fault" in waiting.reasons
    lifted = [seen("05"), profile("05", "failed"), seen("06", on=1), profile("06", "passed", on=1)]
    assert outcome(decide(DRIFTS, state(*lifted), day(1))) == ("retrain", "drift")


@pytest.mark.parametrize("later", [profile("04", "passed", on=9), profile("06", "skipped", on=9)])
def test_neither_an_earlier_partition_nor_one_that_was_not_judged_clears_a_failed_profile(later: Observation) -> None:
    assert outcome(decide(DRIFTS, state(seen("05"), profile("05", "failed"), later), day(9))) == ("wait", "drift")


def test_a_failed_profile_that_passes_when_judged_again_holds_nothing_back() -> None:
    again = state(seen("05"), profile("05", "failed"), profile("05", "passed", on=1))
    assert outcome(decide(DRIFTS, again, day(1))) == ("retrain", "drift")


@pytest.mark.parametrize("ids", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize(("older", "newer"), [("passed", "failed"), ("failed", "passed")])
def test_of_two_profiles_at_one_moment_that_of_the_newer_version_counts_whatever_their_ids(
    ids: tuple[str, str], older: str, newer: str
) -> None:
    """In a replay a partition is scored, and scored again by the version that it has led to, at one moment."""
    both = [
        replace(profile("05", status, model_version=version), observation_id=identity)
        for status, version, identity in zip((older, newer), (1, 2), ids, strict=True)
    ]
    assert (failed_profile(both) is not None) == (newer == "failed")


# Retrains that led to no version.
def test_a_training_that_cannot_be_made_is_taken_back_and_asked_for_again_once_labels_have_come() -> None:
    first = decide(DRIFTS, state(seen("05")), day(0))
    back = take_back(first, "all 80 labels are 1", day(0))
    assert (back.outcome, back.trigger) == ("wait", "drift")
    assert taken_back([first, back]) == {first.decision_id: back}
    ended = {"retrains": [first], "void": frozenset({first.decision_id}), "refusal": Refusal(back.reasons, day(5))}
    assert "cooldown" in decide(DRIFTS, state(seen("05"), **ended), day(9)).reasons
    waiting = decide(DRIFTS, state(seen("05"), prospect=rows_for(cut=day(5)), **ended), day(10))
    assert outcome(waiting) == ("wait", "drift")
    assert "no label has come since" in waiting.reasons
    again = decide(DRIFTS, state(seen("05"), prospect=rows_for(cut=day(6)), **ended), day(10))
    assert outcome(again) == ("retrain", "drift")
    assert again.decision_id != first.decision_id


def test_a_training_whose_run_failed_has_answered_nothing() -> None:
    first = decide(DRIFTS, state(seen("05")), day(0))
    ended = state(seen("05"), retrains=[first], void=frozenset({first.decision_id}))
    assert outcome(decide(DRIFTS, ended, day(9))) == ("wait", "drift")
    again = decide(DRIFTS, ended, day(10))
    assert outcome(again) == ("retrain", "drift")
    assert again.decision_id != first.decision_id


def test_a_skipped_evaluation_neither_clears_nor_repeats_a_failed_one() -> None:
    decision = decide(DRIFTS, state(seen("05"), seen("05", "skipped", on=1), seen("06", "skipped", on=1)), day(2))
    assert outcome(decision) == ("retrain", "drift")


def test_one_failed_check_of_a_monitor_fails_the_evaluation() -> None:
    both = seen("05", "passed"), seen("05", check="prediction_drift")
    assert outcome(decide(DRIFTS, state(*both), day(0))) == ("retrain", "drift")


def test_a_failure_followed_by_a_pass_does_not_fire() -> None:
    assert outcome(decide(DRIFTS, state(seen("05"), seen("06", "passed", on=1)), day(2))) == ("wait", "")


def test_a_failure_that_passes_when_judged_again_does_not_fire() -> None:
    assert outcome(decide(DRIFTS, state(seen("05"), seen("05", "passed", on=1)), day(2))) == ("wait", "")


def test_an_old_partition_judged_again_is_not_the_newest() -> None:
    judged = seen("06", "passed"), seen("05", on=3)
    assert outcome(decide(DRIFTS, state(*judged), day(4))) == ("wait", "")


@pytest.mark.parametrize(
    ("statuses", "asked"),
    [("f", False), ("ff", True), ("fpf", True), ("fppf", False), ("ffpp", False), ("ffp", True)],
)
def test_a_vote_counts_failures_among_the_newest_evaluations(statuses: str, asked: bool) -> None:  # noqa: FBT001  # a parameter
    words = {"f": "failed", "p": "passed"}
    judged = [seen(f"{number:02}", words[status], on=number) for number, status in enumerate(statuses)]
    assert (decide(TWO_OF_THREE, state(*judged), day(9)).outcome == "retrain") == asked


def test_monitors_vote_together() -> None:
    both = model(policy(drift=vote("one", "two", failures=2, of=2)))
    decision = decide(both, state(seen("05", monitor="one"), seen("05", monitor="two")), day(0))
    assert outcome(decision) == ("retrain", "drift")


def test_realized_performance_speaks_before_drift() -> None:
    both = model(policy(drift=vote(), performance=vote(PERFORMANCE)))
    judged = seen("05"), seen("04", monitor=PERFORMANCE, kind="performance", check="roc_auc")
    decision = decide(both, state(*judged), day(0))
    assert outcome(decision) == ("retrain", "performance")
    assert decision.causes == f"{DRIFT}/v1/05, {PERFORMANCE}/v1/04"


def test_only_what_asks_is_a_reason_of_a_retrain() -> None:
    both = model(policy(drift=vote(), performance=vote(PERFORMANCE), new_rows=1))
    passed = seen("05", "passed", monitor=PERFORMANCE, check="roc_auc")
    drifted = decide(both, state(seen("05"), passed), day(0))
    assert outcome(drifted) == ("retrain", "drift")
    assert "drift: 1 of 1 failed" in drifted.reasons
    assert "performance" not in drifted.reasons
    grown = decide(both, state(seen("05", "passed"), passed), day(0))
    assert outcome(grown) == ("retrain", "new_rows")
    assert "failed" not in grown.reasons


def test_a_kept_challenger_is_not_retrained_for_the_same_cause() -> None:
    first = decide(DRIFTS, state(seen("05")), day(0))
    after = state(seen("05"), retrains=[first])
    assert outcome(decide(DRIFTS, after, day(1_000))) == ("wait", "")


def test_a_failure_that_leaves_the_vote_does_not_make_a_new_cause_of_the_rest() -> None:
    judged = [seen("05"), seen("06", on=1)]
    first = decide(TWO_OF_THREE, state(*judged), day(1))
    judged += [seen("07", "passed", on=20), seen("08", "passed", on=21)]
    one_of_three = model(policy(drift=vote(failures=1, of=3)))
    for count in (2, 3, 4):
        decision = decide(one_of_three, state(*judged[:count], retrains=[first]), day(99))
        assert outcome(decision) == ("wait", "")


def test_a_retrain_answers_every_failure_seen_by_then_whatever_asked_for_it() -> None:
    both = model(policy(drift=vote(), performance=vote(PERFORMANCE)))
    judged = seen("05"), seen("04", monitor=PERFORMANCE, kind="performance", check="roc_auc")
    first = decide(both, state(*judged), day(0))
    assert outcome(decide(both, state(*judged, retrains=[first]), day(99))) == ("wait", "")


def test_judging_the_same_partition_again_fires_nothing_twice() -> None:
    first = decide(DRIFTS, state(seen("05")), day(0))
    again = seen("05"), seen("05", on=30, run_id="backfill"), seen("05", on=31, score=0.9)
    assert outcome(decide(DRIFTS, state(*again, retrains=[first]), day(99))) == ("wait", "")


def test_judging_the_same_rows_without_partitions_again_fires_nothing_twice() -> None:
    first = decide(DRIFTS, state(seen("")), day(0))
    again = seen(""), seen("", on=30), seen("", on=31)
    assert outcome(decide(DRIFTS, state(*again, retrains=[first]), day(99))) == ("wait", "")


def test_other_rows_without_partitions_are_another_occasion() -> None:
    first = decide(DRIFTS, state(seen("")), day(0))
    again = seen(""), seen("", on=30, score=0.8, rows=1_200)
    assert outcome(decide(DRIFTS, state(*again, retrains=[first]), day(99))) == ("retrain", "drift")


def test_a_second_failing_partition_waits_for_the_cooldown_and_then_fires() -> None:
    first = decide(DRIFTS, state(seen("05")), day(0))
    after = state(seen("05"), seen("06", on=5), retrains=[first])
    waiting = decide(DRIFTS, after, day(9.99))
    assert outcome(waiting) == ("wait", "drift")
    assert "cooldown until 2024-01-11 00:00 UTC" in waiting.reasons
    assert outcome(decide(DRIFTS, after, day(10))) == ("retrain", "drift")


def test_a_second_failing_partition_that_is_followed_by_a_pass_does_not_fire_after_the_cooldown() -> None:
    first = decide(DRIFTS, state(seen("05")), day(0))
    after = state(seen("05"), seen("06", on=5), seen("07", "passed", on=8), retrains=[first])
    assert outcome(decide(DRIFTS, after, day(10))) == ("wait", "")


def test_a_promoted_champion_starts_with_a_clean_slate() -> None:
    first = decide(DRIFTS, state(seen("05")), day(0))
    promoted = state(seen("05"), seen("06", on=1), retrains=[first], champion_version=2)
    assert decide(DRIFTS, promoted, day(99)) is None


def test_the_same_partition_failing_the_new_champion_is_another_cause() -> None:
    first = decide(DRIFTS, state(seen("05")), day(0))
    promoted = state(seen("05"), seen("05", model_version=2, on=1), retrains=[first], champion_version=2)
    assert outcome(decide(DRIFTS, promoted, day(1))) == ("wait", "drift")
    assert outcome(decide(DRIFTS, promoted, day(10))) == ("retrain", "drift")


def test_a_champion_that_comes_back_is_not_retrained_for_what_it_was_replaced_for() -> None:
    first = decide(DRIFTS, state(seen("05")), day(0))
    rolled_back = state(seen("05"), seen("06", "passed", model_version=2, on=1), retrains=[first])
    assert outcome(decide(DRIFTS, rolled_back, day(99))) == ("wait", "")


def test_a_training_under_way_is_waited_for() -> None:
    hasty = model(policy(drift=vote(), cooldown=Duration()))
    assert outcome(decide(hasty, state(seen("05"), training=True), day(0))) == ("wait", "drift")


def test_enough_new_rows_ask_for_a_retrain_and_ask_anew_after_each() -> None:
    grows = model(policy(new_rows=50))
    assert decide(grows, state(prospect=rows_for(new_rows=49)), day(0)) is None
    first = decide(grows, state(prospect=rows_for(new_rows=50)), day(0))
    assert outcome(first) == ("retrain", "new_rows")
    again = decide(grows, state(prospect=rows_for(new_rows=50), retrains=[first]), day(10))
    assert outcome(again) == ("retrain", "new_rows")
    assert again.decision_id != first.decision_id


def test_a_cron_tick_asks_for_a_retrain() -> None:
    assert outcome(decide(DRIFTS, state(), day(0), scheduled_for=day(0))) == ("retrain", "schedule")


def test_a_cron_tick_inside_the_cooldown_waits() -> None:
    first = decide(DRIFTS, state(seen("05")), day(0))
    decision = decide(DRIFTS, state(seen("05"), retrains=[first]), day(9), scheduled_for=day(9))
    assert outcome(decision) == ("wait", "schedule")


def test_the_same_cron_tick_is_the_same_decision_whatever_the_time_zone_it_is_told_in() -> None:
    tick = day(3)
    local = tick.astimezone(timezone(timedelta(hours=-5)))
    ids = {decide(DRIFTS, state(), day(4), scheduled_for=moment).decision_id for moment in (tick, local)}
    assert len(ids) == 1


def test_a_cron_tick_that_was_answered_does_not_ask_the_champion_that_came_of_it() -> None:
    hasty = model(policy(drift=vote(), cooldown=Duration()))
    first = decide(hasty, state(seen("05")), day(3), scheduled_for=day(3))
    assert decide(hasty, state(champion_version=2, retrains=[first]), day(4), scheduled_for=day(3)) is None


def test_the_same_facts_give_the_same_decision_at_any_moment_and_in_any_order() -> None:
    judged = [seen("04", "passed"), seen("05", on=1), seen("05", check="prediction_drift", on=1), seen("06", on=2)]
    decisions = [decide(DRIFTS, state(*order), day(when)) for order in (judged, judged[::-1]) for when in (3, 4)]
    assert len({replace(decision, decided_at=day(0)) for decision in decisions}) == 1


def test_the_reasons_do_not_hang_on_which_run_observed_them() -> None:
    def told_by(run: str) -> str:
        checks = ("data_drift", "prediction_drift")
        facts = state(*(seen("01", check=check, run_id=run) for check in checks))
        decision = decide(model(policy(drift=vote())), facts, day(1), scheduled_for=None)
        assert decision is not None
        return decision.reasons

    assert len({told_by(str(run)) for run in range(20)}) == 1


def test_judging_again_what_passed_adds_no_decision() -> None:
    once, twice = state(seen("05", "passed")), state(seen("05", "passed"), seen("05", "passed", on=1))
    assert decide(DRIFTS, once, day(2)).decision_id == decide(DRIFTS, twice, day(2)).decision_id


# The first version.
def first_state(**fields: object):
    rows = {"data": Window(day(0) - fields.pop("spanned", timedelta(days=90)), day(0)), "compared": None}
    told = [name for name in ("cut", "holdout") if name in fields]
    told += ["training"] if isinstance(fields.get("training"), Tally) else []
    rows |= {name: fields.pop(name) for name in told}
    return state(**{"champion_version": None, "prospect": rows_for(**rows)} | fields)


def test_the_first_version_is_trained_once_the_data_spans_the_window() -> None:
    assert outcome(decide(DRIFTS, first_state(), day(0))) == ("retrain", "first")
    assert outcome(decide(DRIFTS, first_state(spanned=timedelta(days=45)), day(0))) == ("wait", "first")


def test_the_first_version_needs_no_more_than_first_after() -> None:
    early = model(policy(first_after=Duration.parse("1 hour")))
    assert outcome(decide(early, first_state(spanned=timedelta(hours=1)), day(0))) == ("retrain", "first")
    assert "0.5 hours" in decide(early, first_state(spanned=timedelta(minutes=30)), day(0)).reasons


def test_the_first_version_waits_for_enough_rows() -> None:
    assert outcome(decide(DRIFTS, first_state(training=tally(99)), day(0))) == ("wait", "first")


def test_without_labelled_rows_there_is_nothing_to_decide_upon() -> None:
    assert decide(DRIFTS, first_state(prospect=None), day(0)) is None


def test_the_first_version_is_taken_though_nothing_can_be_said_of_it() -> None:
    assert outcome(decide(DRIFTS, first_state(holdout=Tally(7, 0.0, 0.0)), day(0))) == ("retrain", "first")


def test_a_first_training_of_one_class_waits() -> None:
    waiting = decide(DRIFTS, first_state(training=Tally(900, 0.0, 0.0)), day(0))
    assert outcome(waiting) == ("wait", "first")
    assert "one class only" in waiting.reasons


def test_the_first_training_is_decided_once() -> None:
    first = decide(DRIFTS, first_state(), day(0))
    assert outcome(decide(DRIFTS, first_state(retrains=[first]), day(1))) == ("wait", "first")


def test_a_first_training_that_made_no_version_is_decided_again_after_the_cooldown() -> None:
    first = decide(DRIFTS, first_state(), day(0))
    again = decide(DRIFTS, first_state(retrains=[first]), day(10))
    assert outcome(again) == ("retrain", "first")
    assert again.decision_id != first.decision_id
    assert outcome(decide(DRIFTS, first_state(retrains=[first], training=True), day(10))) == ("wait", "first")


def test_waiting_for_the_first_version_is_not_kept_anew_at_each_tick() -> None:
    waits = [
        decide(DRIFTS, first_state(spanned=timedelta(days=10 + number / 1_000)), day(0)) for number in range(1_000)
    ]
    assert len({decision.decision_id for decision in waits}) <= 3

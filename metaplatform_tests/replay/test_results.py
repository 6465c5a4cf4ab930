"""What a replay's table says does not hang on the ids that a run gave to what it kept."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations

from metaplatform.replay.results import Period, drift_share, told, unjudged
from metaplatform.specs.records.ledger import Promotion
from metaplatform_tests.compute.policy.observing import DRIFT, seen


def test_the_drift_share_is_that_of_the_version_that_scored_the_partition_first() -> None:
    first, second = seen("05", score=0.4), seen("05", score=0.0, model_version=2)
    others = [seen("04", score=0.9), seen("05", check="prediction_drift", score=2.0), seen("05", column="x", score=3.0)]
    for order in permutations([first, second, *others]):
        numbered = [replace(found, observation_id=str(number)) for number, found in enumerate(order)]
        assert drift_share(numbered, frozenset({DRIFT}), "05") == 0.4


def test_a_partition_that_no_monitor_judged_has_no_drift_share() -> None:
    assert drift_share([seen("05")], frozenset({"another"}), "05") is None


def test_a_check_that_judged_in_the_end_is_not_told_as_skipped_and_one_that_did_not_is_told_with_its_reason() -> None:
    skipped = [seen("05", "skipped", on=1, check="roc_auc"), seen("05", "skipped", on=1)]
    assert [name for name, _ in unjudged(skipped, frozenset({DRIFT}), "05")] == [
        f"{DRIFT} data_drift",
        f"{DRIFT} roc_auc",
    ]
    later = [*skipped, seen("05", "failed", on=2, check="roc_auc"), seen("05", "skipped", on=1, column="x")]
    for order in permutations(later):
        assert unjudged(order, frozenset({DRIFT}), "05") == ((f"{DRIFT} data_drift", skipped[1].detail),)
    assert unjudged(skipped, frozenset({DRIFT}), "06") == ()


def test_a_challenger_that_was_not_compared_is_told_with_the_reason() -> None:
    first = verdict_of("a", 1)
    assert told(replace(first, champion_version=None, outcome="promoted")) == "v1 promoted"
    assert told(replace(first, reasons="282 rows of 300")) == "v1 kept, not compared: 282 rows of 300"
    assert told(replace(first, gain=-0.1)) == "v1 kept (roc_auc -0.1000)"


def verdict_of(name: str, version: int) -> Promotion:
    return Promotion(
        promotion_id=name,
        model="returns",
        challenger_version=version,
        champion_version=version - 1,
        outcome="kept",
        metric="roc_auc",
        challenger_score=None,
        champion_score=None,
        gain=None,
        lower_bound=None,
        rows=500,
        reasons="",
        decided_at=datetime(2024, 1, 1, tzinfo=UTC),
        run_id="",
    )


def test_verdicts_of_one_moment_are_told_by_version_whatever_their_ids() -> None:
    first, second = (replace(verdict_of(name, version), gain=0.1) for name, version in (("b", 1), ("a", 2)))
    assert Period((), (second, first), ()).promotion == "v1 kept (roc_auc +0.1000); v2 kept (roc_auc +0.1000)"

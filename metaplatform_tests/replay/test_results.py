"""What a replay's table says does not hang on the ids that a run gave to what it kept."""

from dataclasses import replace
from itertools import permutations

from metaplatform.replay.results import drift_share
from metaplatform_tests.compute.policy.observing import DRIFT, seen


def test_the_drift_share_is_that_of_the_version_that_scored_the_partition_first() -> None:
    first, second = seen("05", score=0.4), seen("05", score=0.0, model_version=2)
    others = [seen("04", score=0.9), seen("05", check="prediction_drift", score=2.0), seen("05", column="x", score=3.0)]
    for order in permutations([first, second, *others]):
        numbered = [replace(found, observation_id=str(number)) for number, found in enumerate(order)]
        assert drift_share(numbered, frozenset({DRIFT}), "05") == 0.4


def test_a_partition_that_no_monitor_judged_has_no_drift_share() -> None:
    assert drift_share([seen("05")], frozenset({"another"}), "05") is None

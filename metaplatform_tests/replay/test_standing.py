"""How far a replay has come, and what it lets be asked for again."""

import dagster as dg
import pytest

from metaplatform.replay.standing import forget_failures
from metaplatform.work.steps import PLAN_TAG, REPLAY_TAGS


@dg.job
def work() -> None:
    """Stand for the platform's one job."""


@pytest.mark.parametrize("tag", REPLAY_TAGS)
def test_what_failed_in_a_replay_of_this_release_or_an_earlier_one_may_be_asked_for_again(tag: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(work, tags={PLAN_TAG: "arrival-1", tag: "true"})
        others = instance.create_run_for_job(work, tags={PLAN_TAG: "arrival-2"})
        forget_failures(instance)
        assert instance.get_runs_count(dg.RunsFilter(tags={PLAN_TAG: "arrival-1"})) == 0
        assert instance.get_run_by_id(run.run_id).is_finished  # type: ignore[union-attr]
        assert not instance.get_run_by_id(others.run_id).is_finished  # type: ignore[union-attr]

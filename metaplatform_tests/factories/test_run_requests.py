"""A plan is asked for once; a run that crashed and that nobody tried again is asked for again, a few times."""

import inspect
from datetime import UTC, datetime

import dagster as dg
from dagster._daemon.auto_run_reexecution import auto_run_reexecution

from metaplatform.compute.policy.plans import RunPlan
from metaplatform.factories.automation.run_requests import PLAN_TAG, RETRY_LOST, open_requests
from metaplatform.specs.manifest import Manifest

PLAN = RunPlan(key="arrival-1", refs=("raw.orders",), monitors=(), partition="2024-01", reason="new data", tags={})


@dg.job
def work() -> None:
    """Stand for the platform's one job."""


def asked(instance: dg.DagsterInstance) -> list[str | None]:
    requests, _ = open_requests(Manifest(root=""), instance, (PLAN,), datetime(2024, 2, 1, tzinfo=UTC))
    return [request.run_key for request in requests]


def end_run(instance: dg.DagsterInstance, *, retry_lost: bool) -> None:
    run = instance.create_run_for_job(work, tags={PLAN_TAG: PLAN.key})
    instance.report_run_failed(run)
    if retry_lost:
        instance.report_engine_event(RETRY_LOST, run)


def test_a_plan_whose_run_failed_by_itself_is_not_asked_for_again() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert asked(instance) == ["arrival-1"]
        end_run(instance, retry_lost=False)
        assert asked(instance) == []


def test_a_plan_whose_run_crashed_with_the_code_server_is_asked_for_again_but_not_without_end() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        keys = []
        while (found := asked(instance)) and len(keys) < 10:
            keys.extend(found)
            end_run(instance, retry_lost=True)
        assert keys == ["arrival-1", "arrival-1-1", "arrival-1-2", "arrival-1-3"]


def test_an_attempt_that_succeeded_ends_it() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        end_run(instance, retry_lost=True)
        run = instance.create_run_for_job(work, tags={PLAN_TAG: PLAN.key})
        assert asked(instance) == [], "at work"
        instance.report_run_canceled(run)
        assert asked(instance) == [], "ended by a person"


def test_dagster_still_says_so_in_these_words() -> None:
    assert f'"{RETRY_LOST}",' in inspect.getsource(auto_run_reexecution)

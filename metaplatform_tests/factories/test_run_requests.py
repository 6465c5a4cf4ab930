"""A plan is asked for once; a run that crashed and that nobody tried again is asked for again, a few times."""

import inspect
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import TagType, get_tag_type
from dagster._daemon.auto_run_reexecution import auto_run_reexecution

from metaplatform.compute.policy.plans import RunPlan
from metaplatform.factories.automation.run_requests import PLAN_TAG, REASON_TAG, RETRY_LOST, open_requests
from metaplatform.specs.book.manifest import Manifest

PLAN = RunPlan(key="arrival-1", refs=("raw.orders",), monitors=(), partition="2024-01", reason="new data", tags={})


@dg.job
def work() -> None:
    """Stand for the platform's one job."""


def asked(instance: dg.DagsterInstance) -> list[str | None]:
    found = open_requests(Manifest(root=""), instance, (PLAN,), datetime(2024, 2, 1, tzinfo=UTC))
    return [request.run_key for request in found.requests]


def end_run(instance: dg.DagsterInstance, *, retry_lost: bool) -> None:
    run = instance.create_run_for_job(work, tags={PLAN_TAG: PLAN.key})
    instance.report_run_failed(run)
    if retry_lost:
        instance.report_engine_event(RETRY_LOST, run)


def test_what_dagsters_page_shows_of_a_request_is_its_reason() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        found = open_requests(Manifest(root=""), instance, (PLAN,), datetime(2024, 2, 1, tzinfo=UTC))
    [request] = found.requests
    shown = {key: value for key, value in request.tags.items() if get_tag_type(key) is not TagType.HIDDEN}
    assert shown == {REASON_TAG: "new data"}


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


def test_a_plan_that_may_be_tried_again_is_so_later_each_time_and_is_stuck_at_last() -> None:
    plan = replace(PLAN, retries=3)
    with dg.DagsterInstance.ephemeral() as instance:
        waits = []
        for attempt in range(1, 5):
            end_run(instance, retry_lost=False)
            failed = datetime.now(UTC)
            minutes = [minute for minute in range(60) if is_due(instance, plan, failed + timedelta(minutes=minute))]
            waits.append(minutes[0] if minutes else None)
            found = open_requests(Manifest(root=""), instance, (plan,), failed + timedelta(hours=1))
            assert [request.run_key for request in found.requests] == ([f"arrival-1-{attempt}"] if minutes else [])
        assert waits == [1, 5, 25, None]
        assert found.stuck == found.notes
        assert found.stuck[0].startswith("new data: run ")


def is_due(instance: dg.DagsterInstance, plan: RunPlan, now: datetime) -> bool:
    return bool(open_requests(Manifest(root=""), instance, (plan,), now).requests)


def test_a_plan_that_succeeded_in_the_end_is_not_stuck() -> None:
    plan = replace(PLAN, retries=3)
    with dg.DagsterInstance.ephemeral() as instance:
        end_run(instance, retry_lost=False)
        run = instance.create_run_for_job(work, tags={PLAN_TAG: plan.key})
        instance.handle_new_event(run_succeeded(run))
        found = open_requests(Manifest(root=""), instance, (plan,), datetime.now(UTC) + timedelta(days=1))
        assert (found.requests, found.stuck) == ((), ())


def run_succeeded(run: dg.DagsterRun) -> dg.EventLogEntry:
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
    return dg.EventLogEntry(
        error_info=None, level=20, user_message="", run_id=run.run_id, timestamp=0.0, dagster_event=event
    )


def test_dagster_still_says_so_in_these_words() -> None:
    assert f'"{RETRY_LOST}",' in inspect.getsource(auto_run_reexecution)

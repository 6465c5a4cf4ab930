"""Failed runs and ticks of a real Dagster instance, and the messages they lead to."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._utils.error import SerializableErrorInfo

from metaplatform.composition import load_definitions
from metaplatform.factories.automation.alerts import alerts_sensor, failed_runs, failed_ticks
from metaplatform.factories.automation.run_requests import REASON_TAG
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.process.dagster_home import write_dagster_home
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.resources.sinks.outbox import Outbox
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.entities.notifications import AppriseNotification
from metaplatform.work.steps import APPLY_TAGS, REPLAY_TAGS


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(write_dagster_home(tmp_path / "dagster"))) as loaded:
        yield loaded


def now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)


def run(instance: dg.DagsterInstance, *, fails: bool, tags: dict[str, str] | None = None) -> str:
    @dg.asset
    def orders() -> None:
        if fails:
            raise ValueError("41 rows do not fit")

    return dg.materialize([orders], instance=instance, raise_on_error=False, tags=tags).run_id


@pytest.mark.parametrize("tag", [REASON_TAG, "metaplatform/reason"])
def test_a_failed_run_is_a_trouble_until_a_later_one_succeeds(instance: dg.DagsterInstance, tag: str) -> None:
    reason = "new data for 2024-05 in raw.orders"
    failed = run(instance, fails=True, tags={tag: reason})
    run(instance, fails=True, tags={tag: reason})
    [found] = failed_runs(instance, now())
    assert found.title == "A run failed: new data for 2024-05 in raw.orders"
    assert "41 rows do not fit" in found.body
    assert found.links["run"] != f"/runs/{failed}", "the newest is shown"
    run(instance, fails=False)
    assert list(failed_runs(instance, now())) == []


@pytest.mark.parametrize("tag", [*REPLAY_TAGS, *APPLY_TAGS, "dagster/will_retry"])
def test_a_run_whose_failure_is_told_elsewhere_or_tried_again_is_none(instance: dg.DagsterInstance, tag: str) -> None:
    instance.add_run_tags(run(instance, fails=True), {tag: "true"})
    assert list(failed_runs(instance, now())) == []


def tick(instance: dg.DagsterInstance, status: TickStatus, said: str = "", *, ago: timedelta = timedelta()) -> None:
    """Keep a tick of the sensor `arrivals`, as Dagster's daemon does."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="none"), location_name="metaplatform")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), "arrivals")
    if not instance.all_instigator_state():
        state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData())
        instance.add_instigator_state(state)
    [state] = instance.all_instigator_state()
    cause = SerializableErrorInfo(f"metaplatform.errors.DataError: {said}\n", [], "DataError")
    error = SerializableErrorInfo("SensorExecutionError: evaluation_fn", [], "SensorExecutionError", cause)
    instance.create_tick(
        TickData(
            instigator_origin_id=origin.get_id(),
            instigator_name="arrivals",
            instigator_type=InstigatorType.SENSOR,
            status=status,
            timestamp=(now() - ago).timestamp(),
            selector_id=state.selector_id,
            run_ids=[],
            error=error if said else None,
        )
    )


def test_a_sensor_that_fails_is_a_trouble_until_it_looks_well_or_is_quiet(instance: dg.DagsterInstance) -> None:
    tick(instance, TickStatus.FAILURE, "raw.orders 2024-05 is held up. Fix: approve it")
    tick(instance, TickStatus.SKIPPED)
    [found] = failed_ticks(instance, now())
    assert found.title == "arrivals fails: raw.orders 2024-05 is held up. Fix: approve it"
    assert list(failed_ticks(instance, now() + timedelta(minutes=11))) == []
    tick(instance, TickStatus.SUCCESS)
    assert list(failed_ticks(instance, now())) == []


def test_the_sensor_puts_each_message_into_the_outbox_once(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    sensor = alerts_sensor(Deployment(book=tmp_path, root=tmp_path).channels(()), 10)
    notifier = Notifier(root=str(tmp_path))

    def look(cursor: str | None) -> tuple[str | None, list[dict[str, Any]]]:
        resources = {"notifier": notifier, "clock": Clock()}
        looked = sensor.evaluate_tick(dg.build_sensor_context(instance, cursor=cursor, resources=resources))
        assert notifier.deliver(datetime.now(UTC)) == []
        file = tmp_path / "notifications" / "platform.jsonl"
        return looked.cursor, [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    cursor, kept = look(None)
    assert kept == []
    run(instance, fails=True, tags={REASON_TAG: "new data"})
    cursor, kept = look(cursor)
    assert [line["title"] for line in kept] == ["A run failed: new data"]
    cursor, same = look(cursor)
    assert same == kept
    run(instance, fails=False)
    _, kept = look(cursor)
    assert [line["title"] for line in kept] == ["A run failed: new data", "Over: A run failed: new data"]


ON_DUTY = """\
spec_version: 2
sources: {orders: {kind: csv, path: "data/*.csv"}}
alerts: {on_duty: {notify: [{kind: apprise, url_env: TEAM_URL}]}}
"""
ON_DUTY_AT_NIGHT = "alerts: {on_duty: {notify: [{kind: apprise, url_env: NIGHT_URL}]}}\n"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, {"TEAM_URL"}),
        ({"METAPLATFORM_ENVIRONMENT": "prod"}, {"NIGHT_URL"}),
        ({"METAPLATFORM_ENVIRONMENT": "prod", "METAPLATFORM_NOTIFY_URL_ENV": "OURS_URL"}, {"OURS_URL"}),
    ],
    ids=["book", "overlay", "deployment"],
)
def test_those_are_told_whom_the_book_its_overlay_or_before_both_the_deployment_names(
    instance: dg.DagsterInstance, tmp_path: Path, settings: dict[str, str], told: set[str]
) -> None:
    for name, text in (("metadata/book.yaml", ON_DUTY), ("environments/prod.yaml", ON_DUTY_AT_NIGHT)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    definitions = load_definitions({**settings}, tmp_path)
    notifier = Notifier(root=str(tmp_path))
    run(instance, fails=True)
    context = dg.build_sensor_context(instance, resources={"notifier": notifier, "clock": Clock()})
    definitions.get_repository_def().get_sensor_def("alerts").evaluate_tick(context)
    channels = [waiting.channel for waiting in Outbox(tmp_path).waiting()]
    assert {channel.url_env for channel in channels if isinstance(channel, AppriseNotification)} == told
    assert [channel.kind for channel in channels].count("file") == 1

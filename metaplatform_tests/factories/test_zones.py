"""Moments are shown by the clock of the data's zone wherever a person looks."""

import json
import re
from collections.abc import Iterator

import dagster as dg
import pytest
from typer.testing import CliRunner

from metaplatform.cli import commands
from metaplatform.naming import HIDDEN_TAG
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.specs.records.ledger import Arrival, Decision, Observation, Promotion
from metaplatform_tests.factories.test_keys import ACCOUNTS, accounts
from metaplatform_tests.small_project import SmallProject, moment

ZONE, NAME = "Asia/Kathmandu", "+0545"
WATCHED = """
monitors:
  shift: {kind: drift, prediction: leavers, min_rows: 50}
  quality: {kind: performance, prediction: leavers, metrics: {roc_auc: {min: 0.999}}, min_rows: 50}
outputs:
  leavers_page:
    {kind: report, title: Who leaves, sql: "select account, opened_at, probability from predictions.leavers"}
reactions:
  tell: {prediction: leavers, when: probability > 0.5, materialize: [outputs.leavers_page], notify: [{kind: file}]}
"""
ASKED = "{cooldown: 1 year, drift: {monitors: [shift]}, performance: {monitors: [quality]},"
ZONED = ACCOUNTS.replace("start: 2024-01}", f"start: 2024-01, timezone: {ZONE}}}")
BOOK = ZONED.replace("{cooldown: 1 year,", ASKED) + WATCHED
OTHER_ZONE = re.compile(r".{0,40}(?:(?<!tz=)\bUTC\b|\+00:00|\d\d:\d\dZ)")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    project = SmallProject(tmp_path_factory.mktemp("zones"), BOOK)
    for number, month in enumerate(("2024-01", "2024-02", "2024-03")):
        project.put(f"data/{month}.csv", accounts(month, number * 1_000).assign(size=lambda rows: rows["size"] * 2))
    return project


@pytest.fixture(scope="module")
def told(project: SmallProject) -> dict[str, list[str]]:
    """Return what people are shown, by place."""
    with project.at_work(reactions=True):
        for now in ("2024-02-03", "2024-03-05", "2024-04-05", "2024-05-05"):
            project.play(moment(now))
        assert project.conductor is not None
        instance = project.conductor.instance
        found = {
            "metadata": list(metadata_of(instance)),
            "tags": [text for run in instance.get_runs() for text in visible(run.tags)],
        }
    ledger = Ledger(project.warehouse)
    found["decisions"] = [kept.reasons for kept in ledger.read(Decision)]
    found["verdicts"] = [kept.reasons for kept in ledger.read(Promotion)]
    found["checks"] = [kept.detail for kept in ledger.read(Observation)]
    assert ledger.read(Arrival)
    root = project.deployment.root
    found["pages"] = [without_scripts(path.read_text(encoding="utf-8")) for path in root.glob("reports/**/*.html")]
    sent = [json.loads(line) for path in root.glob("notifications/*.jsonl") for line in path.read_text().splitlines()]
    found["messages"] = [message["title"] + message["body"] for message in sent]
    for command in (("decisions", "leaving"), ("versions", "leaving"), ("plan",)):
        options = ["--root", str(root), *(() if command[0] != "plan" else ("--book", str(project.deployment.book)))]
        found[command[0]] = [CliRunner().invoke(commands.app, [*command, *options]).output]
    return found


def visible(tags: dict[str, str]) -> Iterator[str]:
    hidden = (HIDDEN_TAG, "dagster/", ".dagster/")
    return (f"{name}: {value}" for name, value in tags.items() if not name.startswith(hidden))


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def metadata_of(instance: dg.DagsterInstance) -> Iterator[str]:
    for run in instance.get_runs():
        for entry in instance.all_logs(run.run_id):
            if entry.dagster_event is None:
                yield entry.user_message
            for name, value in metadata_in(entry):
                yield f"{name}: {value.value}"


def metadata_in(entry: dg.EventLogEntry) -> Iterator[tuple[str, dg.MetadataValue]]:
    event = entry.dagster_event
    if event is not None and event.is_step_materialization:
        yield from event.step_materialization_data.materialization.metadata.items()
    elif event is not None and event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        yield from event.asset_check_evaluation_data.metadata.items()


def test_nobody_is_shown_another_zones_time(told: dict[str, list[str]]) -> None:
    assert [place for place, texts in told.items() if not texts] == []
    shown = [(place, found) for place, texts in told.items() for text in texts for found in OTHER_ZONE.findall(text)]
    assert not shown, "\n".join(map(str, shown))


def test_moments_are_shown_with_the_name_of_their_zone(told: dict[str, list[str]]) -> None:
    for place in ("metadata", "decisions", "versions", "pages"):
        assert NAME in json.dumps(told[place]), place

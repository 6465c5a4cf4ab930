"""After an edit no version scores features of another definition than it learnt: it is held, told and replaced."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.scheduler.instigation import TickStatus
from typer.testing import CliRunner

from metaplatform.cli import commands
from metaplatform.errors import MetaplatformError
from metaplatform.factories.automation.alerts import failed_ticks
from metaplatform.factories.automation.run_requests import REASON_TAG
from metaplatform.planning.state import plan_of
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.specs.records.ledger import Decision, Promotion
from metaplatform_tests.factories.test_alerts import tick
from metaplatform_tests.factories.test_keys import ACCOUNTS, accounts
from metaplatform_tests.small_project import SmallProject, moment


def versions_told(project: SmallProject) -> str:
    places = ["--book", str(project.deployment.book), "--root", str(project.deployment.root)]
    answer = CliRunner().invoke(commands.app, ["versions", "leaving", *places], catch_exceptions=False)
    return " ".join(answer.stdout.split())


def assert_told_and_trained_anew(project: SmallProject) -> None:
    """Sensors look at an outdated champion: one fails in a line that people are sent, one asks for a training."""
    assert project.conductor is not None
    conductor, sensors = project.conductor, {}
    for sensor in conductor._sensors():
        sensors[sensor.name] = sensor
    assert conductor._ask_sensor(sensors["retraining"], moment("2024-03-02")) == []
    waits = Ledger(project.warehouse).read(Decision, model="leaving")[-1]
    assert (waits.outcome, waits.trigger) == ("wait", "first")
    assert waits.reasons.startswith("version 1 learnt another definition of rest, size, and ")
    assert "; but cooldown until 2025-02-0" in waits.reasons

    def look(name: str) -> dg.SensorResult:
        resources = {**conductor._resources(moment("2024-03-02")), "clock": Clock()}
        return sensors[name].evaluate_tick(
            dg.build_sensor_context(conductor.instance, repository_def=conductor._repository, resources=resources)
        )

    [request] = look("retraining").run_requests
    assert request.tags[REASON_TAG].startswith("retrain leaving: version 1 learnt another definition of rest, size")
    with pytest.raises(MetaplatformError) as held:
        look("scoring")
    tick(conductor.instance, TickStatus.FAILURE, str(held.value))
    [alert] = failed_ticks(conductor.instance, datetime.now(UTC))
    assert "predictions.leavers: version 1 of leaving learnt another definition of rest, size; train" in alert.title


def test_a_champion_that_learnt_other_definitions_scores_nothing_and_is_replaced(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, ACCOUNTS)
    project.put("data/2024-01.csv", accounts("2024-01", 0))
    project.put("data/2024-02.csv", accounts("2024-02", 1_000))
    with project.at_work():
        project.play(moment("2024-02-03"))
        project.play(moment("2024-03-02"))
    assert [version.version for version in project.registry.versions("leaving")] == [1]

    project.edit(ACCOUNTS.replace("{size: size,", "{size: 1 - size,"))
    told = {change.ref: "; ".join(change.reasons) for change in plan_of(project.manifest, project.deployment).work}
    assert "the champion, version 1, learnt another definition of rest, size: it scores" in told["models.leaving"]
    assert (
        "rows before 2024-02-18 13:00:00 UTC in 1 partition (2024-02) will have no prediction, because the version "
        "that is trained learns from them; `in_sample: true` asks for their scores" in told["predictions.leavers"]
    )
    assert "outdated: it learnt another definition of rest, size than" in versions_told(project)
    with project.at_work():
        project.make("raw.accounts", "features.sizes", partition="2024-01", now=moment("2024-03-02"))
        project.make("raw.accounts", "features.sizes", partition="2024-02", now=moment("2024-03-02"))
        assert_told_and_trained_anew(project)
        with pytest.raises(MetaplatformError, match="version 1 learnt another definition of rest, size"):
            project.make("predictions.leavers", partition="2024-02", now=moment("2024-03-02"))
        project.make("models.leaving", now=moment("2024-03-05"))
        project.make("predictions.leavers", partition="2024-02", now=moment("2024-03-05"))
        last = project.rows("predictions.leavers", "opened_at")
        assert last["opened_at"].min() == pd.Timestamp("2024-02-19 12:00", tz="UTC"), "as the plan told"
    verdict = Ledger(project.warehouse).read(Promotion)[-1]
    assert verdict.outcome == "promoted"
    assert "version 1, learnt another definition of rest, size" in verdict.reasons
    assert versions_told(project).count("outdated:") == 1, "of the first version alone"
    scored = project.rows("predictions.leavers", "account", "part")
    new = scored[scored["_partition"] == "2024-02"]
    assert not new.empty
    assert set(new["model_version"]) == {2}, "no earlier version stands in for it either"

"""A cron tick at which the training's inputs are to be made again waits, says so, and is asked about afterwards."""

from pathlib import Path

from metaplatform.resources.storage.ledger import Ledger
from metaplatform.specs.records.ledger import Decision
from metaplatform_tests.factories.test_keys import ACCOUNTS, accounts
from metaplatform_tests.small_project import SmallProject, moment

CRON = ACCOUNTS.replace("{cooldown: 1 year,", '{cooldown: 1 day, schedule: "0 6 5 * *", timezone: Europe/Berlin,')


def test_a_tick_waits_for_stale_inputs_and_is_not_lost(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, CRON)
    for number, month in enumerate(("2024-01", "2024-02")):
        project.put(f"data/{month}.csv", accounts(month, number * 1_000))
    with project.at_work():
        project.play(moment("2024-02-03"))
        project.play(moment("2024-03-04"))
        project.put("data/2024-02.csv", accounts("2024-02", 1_000).assign(size=0.25))
        project.make("raw.accounts", partition="2024-02", now=moment("2024-03-05"))
        assert project.conductor is not None
        (cron,) = (each for each in project.conductor.definitions.schedules or () if each.name == "retrain_leaving")
        tick = moment("2024-03-05T05:00:00")
        assert project.conductor._ask_schedule(cron, tick) == 0
        decisions = Ledger(project.warehouse).read(Decision, model="leaving")
        assert (decisions[-1].outcome, decisions[-1].trigger) == ("wait", "schedule")
        assert decisions[-1].reasons == (
            "scheduled for 2024-03-05 06:00 CET; but it waits for features.sizes, made of other rows than there are now"
        )
        (retraining,) = (each for each in project.conductor._sensors() if each.name == "retraining")
        assert project.conductor._ask_sensor(retraining, tick) == []
        assert len(Ledger(project.warehouse).read(Decision, model="leaving")) == len(decisions), "it waits likewise"
        told = project.play(moment("2024-03-05T05:01:00"))
    assert ["made of other rows" in reason for reason in told[:2]] == [True, False]
    assert told[1].startswith("retrain leaving: scheduled for 2024-03-05 06:00 CET")
    last = Ledger(project.warehouse).read(Decision, model="leaving")[-1]
    assert (last.outcome, last.trigger) == ("retrain", "schedule")
    assert last.reasons.startswith("scheduled for 2024-03-05 06:00 CET")
    assert len(project.registry.versions("leaving")) == 2

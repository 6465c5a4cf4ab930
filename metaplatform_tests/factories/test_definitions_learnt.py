"""After an edit no version scores features of another definition than it learnt: it is held, told and replaced."""

from pathlib import Path

import pytest

from metaplatform.errors import MetaplatformError
from metaplatform.resources.ledger import Ledger
from metaplatform.specs.records import Promotion
from metaplatform_tests.factories.test_keys import ACCOUNTS, accounts
from metaplatform_tests.small_project import SmallProject, moment


def test_a_champion_that_learnt_other_definitions_scores_nothing_and_is_replaced(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, ACCOUNTS)
    project.put("data/2024-01.csv", accounts("2024-01", 0))
    project.put("data/2024-02.csv", accounts("2024-02", 1_000))
    with project.at_work():
        project.play(moment("2024-02-03"))
    assert [version.version for version in project.registry.versions("leaving")] == [1]

    project.edit(ACCOUNTS.replace("{size: size,", "{size: 1 - size,"))
    with project.at_work():
        project.make("raw.accounts", "features.sizes", partition="2024-01", now=moment("2024-03-02"))
        project.make("raw.accounts", "features.sizes", partition="2024-02", now=moment("2024-03-02"))
        with pytest.raises(MetaplatformError, match="version 1 learnt another definition of rest, size"):
            project.make("predictions.leavers", partition="2024-02", now=moment("2024-03-02"))
        project.make("models.leaving", now=moment("2024-03-05"))
        project.make("predictions.leavers", partition="2024-02", now=moment("2024-03-05"))
    verdict = Ledger(project.warehouse).read(Promotion)[-1]
    assert verdict.outcome == "promoted"
    assert "version 1, learnt another definition of rest, size" in verdict.reasons
    scored = project.rows("predictions.leavers", "account", "part")
    new = scored[scored["_partition"] == "2024-02"]
    assert not new.empty
    assert set(new["model_version"]) == {2}, "no earlier version stands in for it either"

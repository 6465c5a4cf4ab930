"""What became of a model, as the commands tell it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metaplatform.cli import commands
from metaplatform.cli.model_history import episodes
from metaplatform.errors import MetaplatformError
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import HELD, Decision, Promotion
from metaplatform_tests.work.test_inference import bundle

MOMENT = datetime(2024, 7, 1, 4, 30, 15, tzinfo=UTC)
BOOK = {
    "sources": {"orders": {"partitions": {"every": "month", "start": "2024-01", "timezone": "Europe/Berlin"}}},
    "models": {"returns": {}, "refunds": {}},
    "predictions": {"likely": {"model": "returns"}, "pinned": {"model": "returns", "version": 1}},
}
SEEN = "drift: 1 of 1 failed (2024-06 data_drift 0.41 against 0.3)"


def decision(
    name: str, outcome: str, reasons: str, trigger: str = "drift", champion: int | None = 1, *, number: int = 0
) -> Decision:
    return Decision(name, "returns", outcome, trigger, reasons, MOMENT, champion_version=champion, number=number)


def promotion(name: str, version: int, outcome: str = "promoted") -> Promotion:
    return Promotion(
        promotion_id=name,
        model="returns",
        challenger_version=version,
        champion_version=version - 1 or None,
        outcome=outcome,
        metric="roc_auc",
        champion_score=0.7 if version > 1 else None,
        challenger_score=0.8,
        gain=0.1 if version > 1 else None,
        lower_bound=0.05 if version > 1 else None,
        rows=1234,
        reasons="it is better",
        decided_at=MOMENT,
        run_id="run",
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    BuildRecords(folder).apply("book", lambda: BOOK)
    ledger = Ledger(Warehouse(root=str(folder)))
    ledger.append(decision("z", "wait", "too few rows", "first", None))
    ledger.append(decision("m", "retrain", "enough rows", "first", None, number=1), promotion("m", 1))
    ledger.append(decision("k", "retrain", SEEN, number=2), promotion("k", 2))
    held = decision("a", "wait", f"{SEEN}{HELD}cooldown until later", champion=2, number=3)
    ledger.append(replace(held, held_by="cooldown until later"))
    registry = ModelRegistry(tracking_uri=f"sqlite:///{folder}/mlflow.db", artifact_root=str(folder / "mlartifacts"))
    for version in (1, 2):
        registry.new_version("returns", bundle(version), params={}, metrics={}, tags={})
        registry.promote("returns", version)
    return folder


def ask(root: Path, *arguments: str) -> str:
    answer = CliRunner().invoke(commands.app, [*arguments, "--root", str(root)], catch_exceptions=False)
    assert answer.exit_code == 0
    return answer.stdout


def test_decisions_of_one_moment_are_told_in_the_order_in_which_they_were_made(root: Path) -> None:
    told = ask(root, "decisions", "returns")
    order = [told.index(what) for what in ("too few rows", "enough rows", "version 2 was trained", "cooldown until")]
    assert order == sorted(order)


def test_the_order_within_a_moment_is_that_of_the_numbers_whatever_the_ids() -> None:
    for names in permutations("abc"):
        made = [decision(name, "wait", name, number=number) for number, name in enumerate(names)]
        assert [each.records[0] for each in episodes(sorted(made, key=lambda kept: kept.decision_id), [])] == made


def test_a_decision_says_when_why_and_of_which_version_and_what_came_of_it_within_80_columns(root: Path) -> None:
    told = ask(root, "decisions", "returns")
    assert all(len(line) <= 80 for line in told.splitlines())
    assert "2024-07-01 06:30:15 CEST  returns v1: retrain (drift)\n" in told
    flat = " ".join(told.split())
    assert f"seen: {SEEN}" in flat
    assert "outcome: version 2 was promoted: roc_auc 0.7000 → 0.8000 on 1,234 rows; it is better" in flat
    assert "done: nothing: cooldown until later" in flat


def test_a_misspelt_model_is_an_error_with_the_nearest_name(root: Path) -> None:
    for command in ("decisions", "versions", "rollback"):
        with pytest.raises(MetaplatformError, match="did you mean 'returns'"):
            ask(root, command, "retuns")


def test_a_version_tells_what_it_learnt_from_its_rows_and_its_verdict_in_the_books_time_zone(root: Path) -> None:
    told = ask(root, "versions", "returns")
    assert all(len(line) <= 80 for line in told.splitlines())
    flat = " ".join(told.split())
    assert "version 2 (champion) learnt: from 2024-01-20 01:00:00 CET to 2024-03-20 01:00:00 CET" in flat
    assert "rows: 200" in flat
    assert "judged: 2024-07-01 06:30:15 CEST: version 2 was promoted" in flat
    kept = json.loads(ask(root, "versions", "returns", "--json"))
    assert [each["version"] for each in kept] == [1, 2]
    assert kept[1]["promotion"]["gain"] == 0.1


def test_a_rollback_says_from_which_version_to_which_and_what_follows(root: Path) -> None:
    told = ask(root, "rollback", "returns")
    assert "returns: version 1 is champion again, in the place of version 2." in told
    assert "predictions.likely: version 1 scores the newest partition again" in told
    assert "predictions.pinned" not in told

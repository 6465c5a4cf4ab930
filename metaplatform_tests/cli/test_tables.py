"""Tables that people read: as long as they are useful, and no longer."""

import json
from dataclasses import replace

import pytest

from metaplatform.cli.tables import replay_table
from metaplatform.replay.results import ReplayResult, ReplayRow
from metaplatform.text.numbers import metric_text

REASON = "drift: 2 of 3 failed (2024-01-02 data_drift 0.4 against 0.3); but cooldown until 2024-01-09 00:00 UTC"


def row(day: int) -> ReplayRow:
    name = f"2024-01-{day:02}"
    return ReplayRow("scores", name, 100, 0.4, 1, "roc_auc", 0.8, 0.7, "wait", REASON, "", 0)


def printed(capsys: pytest.CaptureFixture[str], *, rows: int, notes: tuple[str, ...] = ()) -> str:
    replay_table(ReplayResult(tuple(row(day + 1) for day in range(rows)), rows, 1.0, 1.0, "/root", notes))
    return " ".join(capsys.readouterr().out.replace("\u2502", " ").split())


def test_a_short_table_tells_what_each_decision_was_made_from(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, rows=3)
    assert found.count("data_drift") == 3
    assert "metaplatform decisions" not in found


def test_a_long_table_tells_the_decisions_and_where_the_rest_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, rows=30)
    assert found.count("wait: drift: 2 of 3 failed; but cooldown until") == 30
    assert "data_drift" not in found
    assert "metaplatform decisions" in found


@pytest.mark.parametrize("score", [1e300, -1e300, 1e308, 5e-324, 0.0])
def test_a_table_and_its_json_hold_whatever_a_metric_comes_to(capsys: pytest.CaptureFixture[str], score: float) -> None:
    rows = (replace(row(1), live=score, first=-score), replace(row(2), live=score, first=0.5))
    result = ReplayResult(rows, 2, 1.0, 1.0, "/root", ())
    replay_table(result)
    found = capsys.readouterr().out
    assert max(len(line) for line in found.splitlines()) <= 160
    assert metric_text(score) in found
    assert json.loads(result.to_json(), parse_constant=pytest.fail)["rows"][0]["live"] == score


def test_checks_that_judged_nothing_are_told_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    rows = tuple(
        replace(row(day), unjudged=(("errors roc_auc", f"{day} rows"),) if day > 1 else ()) for day in (1, 2, 3)
    )
    replay_table(ReplayResult(rows, 3, 1.0, 1.0, "/root", ()))
    found = capsys.readouterr().out
    assert "Not judged by errors roc_auc: 2 of 3 partitions; the newest of 2024-01-03: 3 rows" in found


def test_what_a_replay_did_not_come_to_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert "predictions.x scored nothing: [1 of 2]" in printed(
        capsys, rows=0, notes=("predictions.x scored nothing: [1 of 2]",)
    )

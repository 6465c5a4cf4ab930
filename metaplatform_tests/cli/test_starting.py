"""The guide to starting out shows commands that work, in the order shown."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metaplatform.cli import commands
from metaplatform_tests.processes import python

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "starting.md").read_text(encoding="utf-8")
CUSTOMERS = "customer;since;spent\n" + "".join(
    f"c{number};{number % 28 + 1:02}.02.2024;{number},50\n" for number in range(60)
)


def shown(text: str = GUIDE) -> list[list[str]]:
    found = re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in found for line in block.splitlines()]


def play(line: list[str], folder: Path) -> str:
    done = python(*(["-m", *line] if line[0] == "metaplatform" else line[1:]), cwd=folder)
    assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
    return done.stdout


def test_every_command_of_the_guide_works_in_the_order_shown(tmp_path: Path) -> None:
    told: dict[str, str] = {}
    for line in shown():
        if "pytest" in line:
            # Run by the tests of new projects.
            continue
        folder = tmp_path if line[1] == "init" else tmp_path / "shop"
        if line[1:3] == ["new", "source"]:
            (folder / "data" / "customers.csv").write_text(CUSTOMERS, encoding="utf-8")
        told[" ".join(line)] = play(line, folder)
    assert "customers:" in told["metaplatform new source data/customers.csv --print"]
    assert (tmp_path / "shop" / "metadata" / "spending.yaml").exists()
    assert (tmp_path / "shop" / ".metaplatform" / "notifications" / "tell_someone.jsonl").exists()
    assert "The book is sound" in told["metaplatform validate"]


@pytest.mark.parametrize("example", ["retail", "churn"])
def test_the_examples_pages_show_commands_that_work_from_a_checkout(tmp_path: Path, example: str) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("data", ".*"))
    lines = shown((ROOT / "examples" / example / "README.md").read_text(encoding="utf-8"))
    assert [line[0] for line in lines[:3]] == ["cd", "python", "metaplatform"]
    folder = tmp_path / lines[0][1]
    play(lines[1], folder)
    play(lines[2], folder)
    # Run at full length by the examples' own tests.
    assert lines[3][1] == "replay"


def test_several_files_without_quotes_are_wrong_use() -> None:
    assert CliRunner().invoke(commands.app, ["new", "source", "a.csv", "b.csv"]).exit_code == 2


def test_a_project_of_no_name_is_refused_with_the_fix(tmp_path: Path) -> None:
    done = python("-m", "metaplatform", "init", "1 2", cwd=tmp_path)
    assert done.returncode == 1
    assert "Fix: give --name" in done.stderr
    assert list(tmp_path.iterdir()) == []

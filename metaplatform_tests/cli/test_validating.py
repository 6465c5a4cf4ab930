"""`metaplatform validate`: what it prints for people, machines and GitHub, and how it ends."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from metaplatform.cli import commands
from metaplatform.cli.issue_formats import for_github, for_people
from metaplatform.errors import Issue, Location
from metaplatform_tests.scenario import write_project

BROKEN = """\
sources:
  a: {kind: cvs, path: x}
tables:
  b: {sql: select * from raw.a}
outputs:
  c: {kind: views, tables: [tables.b]}
"""
UNUSED = "sources:\n  a: {kind: csv, path: x}\n"


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, ["validate", *arguments])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand where a checkout is that has its book in a folder below."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    return tmp_path


def book(project: Path, text: str) -> str:
    folder = project / "shop" / "metadata"
    folder.mkdir(parents=True)
    (folder / "book.yaml").write_text(f"{text}spec_version: 2\n", encoding="utf-8")
    return str(folder)


def test_a_fault_is_an_annotation_at_its_line_of_the_checkout(project: Path):
    answer = ask("--format", "github", "--book", book(project, BROKEN))
    assert answer.exit_code == 1
    first, *_, last = answer.stdout.splitlines()
    assert first == (
        "::error file=shop/metadata/book.yaml,line=2,col=13,title=raw.a [unknown-kind]"
        "::kind: 'cvs' is not allowed here%0Afix: use one of: csv, parquet, json, postgres, mysql, sqlite, "
        "duckdb. Did you mean 'csv'?"
    )
    assert last == "The book has 1 error and 0 warnings."


def test_files_of_annotations_start_from_the_checkout_not_from_the_folder_of_a_step(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = book(project, BROKEN)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project))
    for step in (project / "shop", project.parent):
        monkeypatch.chdir(step)
        assert ask("--format", "github", "--book", folder).stdout.startswith("::error file=shop/metadata/book.yaml,")


def test_a_warning_is_an_annotation_too_and_fails_only_when_asked(project: Path):
    folder = book(project, UNUSED)
    answer = ask("--format", "github", "--book", folder)
    assert answer.exit_code == 0
    assert answer.stdout.startswith("::warning file=shop/metadata/book.yaml,line=2,col=3,title=raw.a [unused]::")
    strictly = ask("--format", "github", "--strict", "--book", folder)
    assert strictly.exit_code == 1
    assert strictly.stdout.splitlines()[-1].startswith("The book has 0 errors and 1 warning")


def test_a_book_without_warnings_is_sound_to_the_strict_too(tmp_path: Path):
    book = write_project(tmp_path)
    (book / "book.yaml").write_text("spec_version: 2\n", encoding="utf-8")
    answer = ask("--strict", "--book", str(book))
    assert (answer.exit_code, answer.stdout.startswith("The book is sound: ")) == (0, True)


def test_json_is_a_format_like_the_others(project: Path):
    folder = book(project, BROKEN)
    short, long = ask("--json", "--book", folder), ask("--format", "json", "--book", folder)
    assert short.stdout == long.stdout
    assert [fault["culprit"] for fault in json.loads(long.stdout)] == ["cvs"]
    assert ask("--json", "--format", "json", "--book", folder).exit_code == 1


@pytest.mark.parametrize("arguments", [["--format", "xml"], ["--json", "--format", "github"], ["--strictly"]])
def test_wrong_use_ends_with_2(arguments: list[str]):
    assert ask(*arguments).exit_code == 2


def test_places_start_from_where_the_reader_stands(project: Path):
    assert ask("--book", book(project, BROKEN)).stdout.startswith("shop/metadata/book.yaml:2:13: error: raw.a: ")


texts = st.text() | st.text(alphabet="%:,\r\n\x1b\u202e\ud800é") | st.just("::error::x\n::add-mask::x")


@given(texts, texts, texts, st.integers(1, 9))
def test_whatever_a_fault_says_is_one_command_that_github_reads_back(owner: str, file: str, message: str, line: int):
    at = Location(f"metadata/{file.replace(chr(0), '')}", line, 2)
    issue = Issue("some-rule", owner, message, message, "correct it", at, severity="warning")
    written = for_github(issue, folder=Path("/repo"), base=Path("/repo"))
    assert all(char.isprintable() for char in written)
    match = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", written, re.DOTALL)
    assert match is not None
    command, properties, text = match.groups()
    found = dict(part.split("=", 1) for part in properties.split(","))
    assert list(found) == ["file", "line", "col", "title"]
    assert (command, found["line"], found["col"]) == ("warning", str(line), "2")
    if message.replace("\n", "").replace("\r", "").isprintable():
        back = text.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
        assert back == f"{message}\nfix: correct it"


@given(texts)
def test_no_text_of_a_book_acts_on_the_terminal_or_starts_a_line_of_its_own(text: str):
    issue = Issue("some-rule", text, text, text, text, Location(text.replace("\0", ""), 1), text)
    shown = for_people(issue, folder=Path("/repo"), colour=False)
    assert len(shown.split("\n")) == 2
    assert all(line.isprintable() for line in shown.split("\n"))


def on_a_terminal(folder: str, **environment: str) -> str:
    """Return what `validate` writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "metaplatform", "validate", "--book", folder]
    known = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        subprocess.run(command, stdout=theirs, env=known | {"TERM": "xterm"} | environment, check=False, timeout=120)
        os.close(theirs)
        return terminal.read(65_536).decode()


def test_colour_is_for_terminals_only_and_only_for_those_who_want_it(project: Path):
    folder = book(project, BROKEN)
    assert "\x1b[31merror: \x1b[0mraw.a" in on_a_terminal(folder)
    assert "\x1b" not in on_a_terminal(folder, NO_COLOR="1")
    assert "\x1b" not in ask("--book", folder).stdout


def test_what_the_output_cannot_hold_is_written_as_an_escape(project: Path):
    folder = book(project, "sources:\n  a: {kind: cvś, path: x}\n")
    command = [sys.executable, "-m", "metaplatform", "validate", "--book", folder]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (1, b"")
    assert rb"'cv\u015b'" in done.stdout

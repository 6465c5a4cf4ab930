"""A corpus of broken books: each file says, in the line at fault, what must be reported there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaplatform.errors import Issue
from metaplatform.specs.loading import load_book, read_book
from metaplatform.specs.rules import DEFAULT_RULES

BOOKS = Path(__file__).parent / "broken_books"
SOUND = BOOKS / "sound.yaml"
BROKEN = sorted(path for path in BOOKS.glob("*.yaml") if path != SOUND)
MARK = re.compile(r"(?:#|--)([!~]) (.*)")
SIGNS = {"error": "!", "warning": "~"}

Found = tuple[int, str, str, str | None]


def expected(text: str, sign: str = "!") -> list[Found]:
    """Read the marks ``#! rule | culprit | nearest``, several apart by `` ; ``; the nearest name may be left out.

    Warnings are marked ``#~``; where none is, they are not looked at.
    """
    return sorted(found for number, line in enumerate(text.splitlines(), 1) for found in _marks(number, line, sign))


def _marks(number: int, line: str, sign: str) -> Iterator[Found]:
    match = MARK.search(line)
    for mark in match[2].split(" ; ") if match and match[1] == sign else ():
        rule, culprit, nearest = [*(part.strip() for part in mark.split("|")), None][:3]
        yield number, str(rule), str(culprit), nearest


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_every_fault_of_a_broken_book_is_reported_at_its_line(path: Path, tmp_path: Path):
    folder = tmp_path / "metadata"
    folder.mkdir()
    text = path.read_text()
    (folder / "sound.yaml").write_text(SOUND.read_text())
    (folder / "zbroken.yaml").write_text(text)
    _, issues = read_book(folder)
    assert {issue.location.file for issue in issues if issue.location} == {"metadata/zbroken.yaml"}
    for severity, sign in SIGNS.items():
        wanted = expected(text, sign)
        if wanted or severity == "error":
            judged = [issue for issue in issues if issue.severity == severity and issue.rule != "unused"]
            found = told(judged, wanted)
            assert sorted(found, key=str) == sorted(wanted, key=str), sorted(set(found) ^ set(wanted), key=str)


def told(issues: list[Issue], wanted: list[Found]) -> list[Found]:
    """Return what was reported, the nearest name only where it is marked."""
    named = {(line, rule, culprit) for line, rule, culprit, nearest in wanted if nearest}
    found: list[Found] = []
    for issue in issues:
        assert issue.location is not None
        key = (issue.location.line, issue.rule, issue.culprit)
        found.append((*key, issue.nearest if key in named else None))
    return found


def test_the_sound_half_of_the_broken_books_is_sound(tmp_path: Path):
    folder = tmp_path / "metadata"
    folder.mkdir()
    (folder / "sound.yaml").write_text(SOUND.read_text())
    manifest, issues = read_book(folder)
    assert manifest is not None
    assert issues == ()


def test_the_default_book_has_neither_errors_nor_warnings():
    manifest, issues = read_book(Path(__file__).parents[2] / "metadata")
    assert manifest is not None
    assert issues == ()
    assert load_book(Path(__file__).parents[2] / "metadata") == manifest


def test_rules_are_listed_once():
    assert len(set(DEFAULT_RULES)) == len(DEFAULT_RULES)

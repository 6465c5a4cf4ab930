"""One word a thing: what the glossary calls otherwise is in no message, page or public name.

Messages are the texts within the code that are not docstrings; in pages, code and names in code stand apart.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
GLOSSARY = ROOT / "docs" / "glossary.md"
ROW = re.compile(r"\| (?P<terms>[^|]+) \| (?P<meaning>[^|]+) \| (?P<others>[^|]*)\|")
CODE = re.compile(r"```.*?```|`[^`\n]*`|\]\([^)]*\)|<!--.*?-->", re.DOTALL)
NAME_PART = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")


class Use(NamedTuple):
    """A text for people, or a public name as words, and where it stands."""

    place: str
    text: str


SENSES = {
    "config": ("the key of Dagster's settings that a storage's own stand below", r"config: \{postgres_url"),
    "diff": ("the command `book diff`, after git's", r"book diff|: diff$"),
    "lag": ("the SQL function", r"lag\(|ifnull lag last|fill first_value lag"),
    "production": ("where a project of Dagster's runs", r"in production"),
    "staging": ("of rows: read, and not yet taken in", r"work/staging|: staging"),
    "sink": ("the folder of what writes outside, outputs and messages", r"^resources/sinks"),
    "reject": ("DuckDB's word for lines that are not rows", r"rejected lines?|: reject"),
}
"""Words with another sense of their own: which, and what tells it."""


def others() -> dict[str, str]:
    """Return the words that the glossary has another one for, each with that one."""
    rows = [ROW.fullmatch(line) for line in GLOSSARY.read_text(encoding="utf-8").splitlines()]
    return {
        other.strip(): row["terms"]
        for row in rows
        if row and row["terms"] != "word"
        for other in row["others"].split(",")
        if other.strip() and not other.strip().startswith("---")
    }


def docstrings(tree: ast.AST) -> set[int]:
    bodies = (getattr(node, "body", None) for node in ast.walk(tree))
    return {
        id(each.value)
        for body in bodies
        if isinstance(body, list)
        for each in body
        if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
    }


def messages(path: Path, tree: ast.AST) -> Iterator[Use]:
    """Yield the texts of a module with a space in them; the parts between values of a formatted one by themselves."""
    left_out = docstrings(tree)
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in left_out else None
        if isinstance(node, ast.Constant) and isinstance(text, str) and " " in text:
            yield Use(f"{path}:{node.lineno}", text)


def names(path: Path, tree: ast.Module) -> Iterator[Use]:
    """Yield the public names of a module, their words apart: itself, classes, functions, arguments and fields."""
    found = [(0, path.stem)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found.append((node.lineno, node.name))
            fields = (each.target for each in node.body if isinstance(each, ast.AnnAssign))
            found.extend((each.lineno, each.id) for each in fields if isinstance(each, ast.Name))
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            found.extend([(node.lineno, node.name), *((each.lineno, each.arg) for each in every)])
    where = path.with_suffix("").as_posix()
    for line, name in found:
        if not name.startswith("_"):
            yield Use(f"{path}:{line}", f"{where}: {' '.join(NAME_PART.findall(name)).lower()}")


def pages() -> Iterator[Use]:
    """Yield the lines of what is written for people, without code."""
    for path in (*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"):
        if path != GLOSSARY:
            text = CODE.sub(lambda code: "`" + "\n" * code[0].count("\n"), path.read_text(encoding="utf-8"))
            for number, line in enumerate(text.splitlines(), 1):
                yield Use(f"{path.relative_to(ROOT)}:{number}", line)


def uses() -> Iterator[Use]:
    package = ROOT / "metaplatform"
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from messages(path.relative_to(package), tree)
        yield from names(path.relative_to(package), tree)
    yield from pages()


USES = tuple(uses())


def pattern(word: str) -> re.Pattern[str]:
    """Return what finds a word, also in the plural and at the start of a sentence; SQL's upper case is not it."""
    plural = "" if len(word) == 1 else "(e?s|ed)?"
    return re.compile(rf"(?<![\w./-])[{word[0]}{word[0].upper()}]{re.escape(word[1:])}{plural}(?![\w-])")


def test_the_glossary_is_read_whole() -> None:
    rows = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert all(map(ROW.fullmatch, rows[2:]))
    assert {"config", "schema version", "feature view"} <= set(others())
    assert set(SENSES) <= set(others()), "a sense of a word that the glossary does not have"


@pytest.mark.parametrize("word", sorted(others()))
def test_no_other_word_is_used_for_a_thing(word: str) -> None:
    sense = re.compile(SENSES[word][1]) if word in SENSES else None
    wrong = pattern(word)
    found = [use for use in USES if wrong.search(sense.sub("", use.text) if sense else use.text)]
    assert not found, f"'{word}' is called {others()[word]}:\n" + "\n".join(f"{use.place}: {use.text}" for use in found)


def test_what_is_for_people_is_seen() -> None:
    texts = {use.text for use in USES}
    assert "correct what is named above; `metaplatform validate` checks again" in texts, "a message"
    assert "specs/entities/training: retrain policy" in texts, "a class"
    assert any(use.place.startswith("docs/operations.md") for use in USES), "a page"
    assert pattern("recipe").search("two recipes")
    assert not pattern("lag").search("a flag")

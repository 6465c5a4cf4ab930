"""A book brought to a newer version means what it meant, and looks as it looked."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.specs.language.migrations import MigrationError, migrated
from metaplatform.specs.language.versions import NEWEST_VERSION
from metaplatform.specs.loading import load_book
from metaplatform.specs.snapshots import snapshot_of
from metaplatform_tests.scenario import BOOK
from metaplatform_tests.specs.language.books import write_book

SHIPPED = sorted((Path(__file__).parents[3] / "metadata").glob("*.yaml"))


def only(text: str, version: int = 1) -> str:
    return migrated({"book.yaml": text}, version)["book.yaml"]


def test_the_newest_version_is_the_one_that_books_are_brought_to() -> None:
    assert NEWEST_VERSION == 2, "a newer version needs a migration from 2, after the one from 1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sources: {}\n", "spec_version: 2\nsources: {}\n"),
        ("# all\n# of it\n\n# sources\nsources: {}\n", "# all\n# of it\nspec_version: 2\n\n# sources\nsources: {}\n"),
        ("# all\nsources: {}", "# all\nspec_version: 2\nsources: {}"),
        ("# c\r\nsources: {}\r\n", "# c\r\nspec_version: 2\r\nsources: {}\r\n"),
        ("# c\n---\nsources: {}\n", "# c\n---\nspec_version: 2\nsources: {}\n"),
        ("%YAML 1.2\n---\n\n  sources: {}\n", "%YAML 1.2\n---\n  spec_version: 2\n\n  sources: {}\n"),
        ("{sources: {}}\n", "{spec_version: 2, sources: {}}\n"),
        ("{}\n", "{spec_version: 2, }\n"),
        ("", "spec_version: 2\n"),
        ("# nothing yet", "# nothing yet\nspec_version: 2\n"),
        ("sources: {}\nspec_version: 1 # old\n", "sources: {}\nspec_version: 2 # old\n"),
        ("spec_version: &v 1\nsources: {}\n", "spec_version: &v 2\nsources: {}\n"),
    ],
)
def test_the_version_stands_below_the_leading_comment(before: str, after: str) -> None:
    assert only(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("path: a/${x}  # ${y}", "path: a/$${x}  # ${y}"),
        ("path: 'it''s $${x}'", "path: 'it''s $$${x}'"),
        ('path: "${a}\\t${b}"', 'path: "$${a}\\t$${b}"'),
        ('path: "\\x24{a} é"', 'path: "$${a} é"'),
        ("path: | # ${c}\n      ${a}\n      b${c", "path: | # ${c}\n      $${a}\n      b$${c"),
        ("path: >-\n      ${a}\n\n      c", "path: >-\n      $${a}\n\n      c"),
        ("tags: {'${k}': v, k: '${v}'}", "tags: {'${k}': v, k: '$${v}'}"),
        ("null_values: ['${a}', [ '${b}' ] ]", "null_values: ['$${a}', [ '$${b}' ] ]"),
        ("path: &a ${x}\n    package: *a", "path: &a $${x}\n    package: *a"),
        ('path: &a "\\x24{x}"\n    package: *a', 'path: &a "$${x}"\n    package: *a'),
        ("path: &a |\n      ${x}\n    package: *a", "path: &a |\n      $${x}\n    package: *a"),
    ],
)
def test_a_sign_in_a_value_is_doubled_and_nothing_else_is_touched(before: str, after: str) -> None:
    head, tail = "sources:\n  a:\n    ", "\n    kind: csv   # as it was\n"
    assert only(head + before + tail) == "spec_version: 2\n" + head + after + tail


def test_only_the_first_file_gets_the_version_and_a_second_time_nothing_changes() -> None:
    texts = {"a.yaml": "# empty\n", "b.yaml": "tables: {}\n", "c.yaml": "models: {}\n"}
    made = migrated(texts, 1)
    assert made == {**texts, "b.yaml": "spec_version: 2\ntables: {}\n"}
    assert migrated(made, 2) == made


def test_a_book_that_declares_parameters_means_its_signs() -> None:
    text = "parameters: {x: {type: text, default: a}}\nsources: {a: {kind: csv, path: '${x}/$${y}'}}\n"
    assert only(text) == "spec_version: 2\n" + text


def test_what_cannot_be_edited_is_told_and_not_guessed() -> None:
    with pytest.raises(MigrationError, match="cannot be put in"):
        only("&all\n{sources: {}}\n")
    with pytest.raises(MigrationError, match="line 2"):
        only("sources: [\n")


def test_the_shipped_book_means_the_same_in_the_newest_version(tmp_path: Path) -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in SHIPPED}
    made = migrated({name: text.replace("spec_version: 2\n", "") for name, text in texts.items()}, 1)
    book = write_book(tmp_path, {f"metadata/{name}": text for name, text in made.items()})
    assert snapshot_of(load_book(book)) == snapshot_of(load_book(SHIPPED[0].parent))


TEXTS = st.text(st.sampled_from("${}a '\"\\:\n|é"), min_size=1, max_size=14).map(lambda text: f"a{text}z")
COMMENTS = st.text(st.sampled_from("${} a'\"é-"), max_size=12).map(lambda text: f"# {text}")


def _written(text: str, style: str) -> str:
    """Return ``text`` as YAML in a style that can hold it, else in double quotes."""
    if style == "'" and "\n" not in text:
        return "'" + text.replace("'", "''") + "'"
    if style == "|" and not text.startswith((" ", "\n")):
        return "|-\n" + "\n".join(f"      {line}" for line in text.split("\n"))
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"' if style != "x" else '"' + escaped.replace("$", "\\x24") + '"'


@st.composite
def commented_books(draw: st.DrawFn) -> str:
    """Draw the shop with comments between its lines and texts of any look in its entities."""
    lines: list[str] = [draw(COMMENTS)] if draw(st.booleans()) else []
    for line in BOOK.splitlines():
        inside_a_text = line.startswith("      ") and not line.strip().startswith(("-", "kind"))
        if not inside_a_text and draw(st.integers(0, 9)) == 0:
            lines.append(" " * draw(st.integers(0, 4)) + draw(COMMENTS))
        lines.append(line)
        if line.startswith("  ") and not line.startswith("   ") and line.endswith(":") and draw(st.booleans()):
            value = _written(draw(TEXTS), draw(st.sampled_from("'|\"x")))
            lines.append(f"    description: {value}" + ("" if "\n" in value else "  " + draw(COMMENTS)))
    return draw(st.sampled_from(["\n", "\r\n"])).join([*lines, ""])


@given(commented_books())
@settings(max_examples=60, deadline=None)
def test_any_book_of_the_first_version_means_the_same_in_the_newest_and_keeps_its_comments(text: str) -> None:
    made = only(text)
    with tempfile.TemporaryDirectory() as root:
        books = [write_book(Path(root, name), {"metadata/a.yaml": ""}) for name in ("before", "after")]
        for book, content in zip(books, (text, made), strict=True):
            (book / "a.yaml").write_bytes(content.encode())
        before, after = (load_book(book) for book in books)
        assert snapshot_of(before) == snapshot_of(after)
    assert only(made, 2) == made
    lines = made.splitlines()
    lines.remove("spec_version: 2")
    for before, after in zip(text.splitlines(), lines, strict=True):
        assert after.partition("#")[2] == before.partition("#")[2]
        assert _without_signs(after) == _without_signs(before)


def _without_signs(line: str) -> str:
    return line.replace("\\x24", "").replace("$", "")

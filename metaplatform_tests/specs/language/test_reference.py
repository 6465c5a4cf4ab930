"""The pages of the reference say what the code says."""

import re
from pathlib import Path

import pytest

from metaplatform.chapters import CHAPTERS
from metaplatform.specs.language.reference import render_page

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in [DOCS / "book.md", *(DOCS / "reference").glob("*.md")]}


def section(chapter: str) -> str:
    page = render_page(f"<!-- fields: {chapter} -->\n<!-- end -->")
    return page.split(f"<!-- fields: {chapter} -->", 1)[1].split("<!-- end -->", 1)[0]


def sections_of(page: str) -> list[str]:
    return re.findall(r"<!-- fields: (\w+) -->", PAGES[page])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_holds_what_is_generated(page: str) -> None:
    """If not: `python docs/make_reference.py`."""
    assert render_page(PAGES[page]) == PAGES[page]


@pytest.mark.parametrize("page", [*CHAPTERS, "parameters"])
def test_every_chapter_has_a_page_of_its_own_with_its_fields_and_an_example(page: str) -> None:
    assert sections_of(page) == [page]
    assert PAGES[page].startswith(f"# {page}\n")
    assert re.search(rf"^```yaml\n(.*\n)*?{page}:\n", PAGES[page], re.MULTILINE)


def test_the_guide_leads_to_every_page_and_writes_no_chapter_itself() -> None:
    assert sections_of("book") == ["entity"]
    assert set(re.findall(r"\]\(reference/(\w+)\.md", PAGES["book"])) == set(PAGES) - {"book"}


def test_a_section_of_no_chapter_is_an_error() -> None:
    with pytest.raises(KeyError, match="recipes"):
        render_page("<!-- fields: recipes -->\n<!-- end -->")


def test_text_outside_of_sections_is_left_alone() -> None:
    assert render_page("# A\n\n<!-- a comment -->\ntext\n") == "# A\n\n<!-- a comment -->\ntext\n"


def test_a_required_key_a_default_and_limits_are_in_words() -> None:
    models = section("models")
    assert "| `window` | duration | required |" in models
    assert "| `validation_share` | number, over 0, under 0.9 | `0.2` |" in models
    assert "| `rounds` | whole number, 1 or more, 100,000 or less | `300` |" in models
    assert "| `task` | `binary` or `regression` | required |" in models
    assert "| `schedule` | text | none |" in models
    assert "| `monitors` | list of: name, one at least | required |" in models


def test_sql_is_told_from_text_and_one_expression_from_a_query() -> None:
    assert "| `sql` | SQL query | required |" in section("tables")
    assert "| `sql` | SQL expression | required |" in section("models")
    assert "| `derive` | mapping of column to SQL expression | `{}` |" in section("sources")


def test_keys_of_all_kinds_stand_above_them_and_those_of_one_kind_below_its_name() -> None:
    shared, csv, parquet = re.split(r"\*\*`kind: \w+`\*\*", section("sources"))[:3]
    assert "| `columns` |" in shared
    assert "| `path` |" in csv
    assert "| `delimiter` | text, one character | none |" in csv
    assert "| `null_values` |" not in parquet


def test_what_is_within_an_entity_is_told_once_under_its_place() -> None:
    assert re.findall(r"^## `(.+)`$", section("models"), re.MULTILINE) == [
        "target",
        "training",
        "promotion",
        "retrain",
        "retrain.drift",
    ]


def test_keys_of_every_entity_are_told_once() -> None:
    assert "| `owners` | list of: owner | `[]` |" in section("entity")
    assert not any("`owners`" in section(chapter) for chapter in CHAPTERS)

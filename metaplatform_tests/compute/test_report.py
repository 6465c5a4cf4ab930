"""The page of a report: complete in itself, readable, and closed to hostile values."""

import datetime as dt
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.report import SHOWN_ROWS, cell_text, report_html
from metaplatform.text.moments import shown

NOW = dt.datetime(2013, 5, 1, 6, 30, tzinfo=dt.UTC)


class Page(HTMLParser):
    """What a browser would make of a page: its tags, and the text of each table cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "onerror", "onclick"}]
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] in {"td", "th"} and self.cells and data.strip(" \n") != "":
            self.cells[-1] += data


def page_of(columns: dict[str, Any], *, title: str = "Title", facts: dict[str, str] | None = None) -> str:
    return report_html(title, pa.table(columns), subtitle_facts=facts or {}, generated_at=NOW)


HOSTILE = st.text(alphabet="<>&\"'/ascriptb{}%#-;=`", min_size=1, max_size=12)


@given(title=HOSTILE, name=HOSTILE, value=HOSTILE, fact=HOSTILE)
def test_no_text_becomes_markup(title: str, name: str, value: str, fact: str) -> None:
    plain = Page(page_of({"name": ["value"]}, facts={"fact": "x"}))
    hostile = Page(page_of({name: [value]}, title=title, facts={fact: fact}))
    assert hostile.tags == plain.tags
    assert hostile.links == []
    assert hostile.cells == [name, value]


def test_the_page_runs_no_script_and_fetches_nothing() -> None:
    page = page_of({"a": [1]})
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(Page(page).tags)
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_says_how_many_rows_and_when_in_light_dark_and_print() -> None:
    page = page_of({"a": range(1_234)}, title="Flights at risk", facts={"partition": "2013-04"})
    assert "<title>Flights at risk</title>" in page
    assert '<p class="when">1,234 rows · 2013-05-01 06:30 UTC</p>' in page
    assert "<dt>partition</dt><dd>2013-04</dd>" in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_a_long_report_shows_its_first_rows_and_says_so() -> None:
    page = page_of({"a": range(SHOWN_ROWS + 7)})
    assert f"the first {SHOWN_ROWS:,} of {SHOWN_ROWS + 7:,} rows" in page
    assert len(Page(page).cells) == SHOWN_ROWS + 1


@pytest.mark.parametrize("columns", [{}, {"a": pa.array([], pa.float64())}])
def test_no_rows_are_said_in_words(columns: dict[str, Any]) -> None:
    assert "There are no rows." in page_of(columns)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "true"),
        (1545, "1545"),
        (2**63, "9223372036854775808"),
        (0.712345, "0.7123"),
        (3.0, "3"),
        (-0.0, "0"),
        (-0.00001, "-1e-05"),
        (1234567.25, "1234567.25"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("1E+5"), "100000"),
        (dt.datetime(2013, 5, 1, 12, 30, tzinfo=dt.UTC), "2013-05-01 12:30 UTC"),
        (dt.datetime(2013, 5, 1, 12, 30, 9, tzinfo=dt.UTC), "2013-05-01 12:30:09 UTC"),
        (dt.datetime(2013, 5, 1, 12, 30, 9, 500, tzinfo=dt.UTC).replace(tzinfo=None), "2013-05-01 12:30:09.000500"),
        (dt.date(2013, 5, 1), "2013-05-01"),
        (dt.time(12, 30), "12:30:00"),
        (dt.timedelta(days=2), "2 days, 0:00:00"),
        (b"\x00\x01", "2 bytes"),
        ([1, 2], "[1, 2]"),
        ("", ""),
        ("x" * 501, "x" * 499 + "…"),
    ],
)
def test_values_read_well(value: object, text: str) -> None:
    assert cell_text(value) == text


def test_numbers_stand_right_moments_stay_whole_and_finer_ones_are_cut() -> None:
    moments = pa.array([1_367_366_400_000_000_001], pa.timestamp("ns", tz="UTC"))
    page = page_of({"n": [1], "when": moments, "gone": pa.array([None], pa.float64()), "text": ["a"]})
    assert '<td class="number">1</td>' in page
    assert '<td class="moment">2013-05-01 00:00 UTC</td>' in page
    assert '<td class="number null">-</td>' in page
    assert '<td class="">a</td>' in page


def test_moments_are_shown_by_the_clock_of_the_reports_zone() -> None:
    rows = pa.table({"when": pa.array([dt.datetime(2013, 1, 1, 23, 30, tzinfo=dt.UTC)], pa.timestamp("us", "UTC"))})
    page = report_html("Title", rows, subtitle_facts={}, generated_at=NOW, zone="Europe/Berlin")
    assert Page(page).cells == ["when", "2013-01-02 00:30 CET"]
    assert shown(NOW, "Europe/Berlin", seconds=False) in page


def test_repeated_column_names_are_kept() -> None:
    rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    page = report_html("Title", rows, subtitle_facts={}, generated_at=NOW)
    assert Page(page).cells == ["a", "a", "1", "2"]

"""Findings as people read them."""

from metaplatform.compute.findings import Finding, as_markdown, number, worst_first

FINDINGS = (
    Finding("a", "fine", 0.05, 0.1, "passed", "ok"),
    Finding("a", "unknown", None, None, "skipped", "too few"),
    Finding("a", "bad", 0.2, 0.1, "failed", "over"),
    Finding("a", "worse", 0.9, 0.3, "failed", "far over"),
)


def test_failures_come_first_furthest_over_their_threshold_first() -> None:
    assert [finding.column for finding in worst_first(FINDINGS)] == ["worse", "bad", "unknown", "fine"]


def test_the_table_is_markdown_and_says_how_many_rows_it_leaves_out() -> None:
    lines = as_markdown(FINDINGS, limit=2).splitlines()
    assert lines[2] == "| a | worse | 0.9 | 0.3 | failed | far over |"
    assert len(lines) == 6
    assert lines[-1] == "… and 2 more."


def test_hostile_text_stays_in_its_cell() -> None:
    table = as_markdown([Finding("a", "x|y", None, None, "failed", "<img src=x>\n| \\")])
    assert table.splitlines()[2:] == ["| a | x\\|y |  |  | failed | &lt;img src=x> \\| \\\\ |"]


def test_numbers_have_four_significant_digits() -> None:
    assert (number(None), number(0.123456), number(123456.0), number(0.0)) == ("", "0.1235", "1.235e+05", "0")

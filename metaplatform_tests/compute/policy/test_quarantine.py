"""How much of a source may be in quarantine before nothing is made of it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.policy.quarantine import LEAST_FAULTY, beyond_share
from metaplatform.specs.book.source_contents import FileContent, PartitionContent, SourceContents
from metaplatform.specs.entities.csv_source import CsvSource

DAY = "2024-01-01"


def source(share: float) -> CsvSource:
    fields = {"name": "orders", "kind": "csv", "path": "a.csv", "columns": {"at": "timestamp"}, "event_timestamp": "at"}
    return CsvSource.model_validate({**fields, "quarantine_share": share})


def contents(
    partitions: dict[str, tuple[int, int]],
    *,
    homeless: int = 0,
    excused: int = 0,
    rejected: int = 0,
    faulty: dict[str, FileContent] | None = None,
) -> SourceContents:
    held = {key: PartitionContent(rows, f"{rows}", bad) for key, (rows, bad) in partitions.items()}
    stored, placed = (sum(pair[index] for pair in partitions.values()) for index in (0, 1))
    quarantined = placed + homeless + excused
    moment = datetime(2024, 2, 1, tzinfo=UTC)
    return SourceContents(
        "mark",
        "hash",
        stored + quarantined,
        stored,
        quarantined,
        rejected,
        excused,
        moment,
        partitions=held,
        faulty=faulty or {},
    )


@given(rows=st.integers(0, 50), bad=st.integers(0, 50), share=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_a_partition_is_held_back_where_more_than_the_share_of_its_own_rows_is_turned_away(
    rows: int, bad: int, share: float
) -> None:
    found = beyond_share(source(share), contents({DAY: (rows, bad), "2024-01-02": (1_000_000, 0)}))
    assert [each.partition for each in found] == ([DAY] if bad and bad / (rows + bad) > share else [])


def test_rows_of_no_partition_and_lines_that_are_no_rows_are_held_against_all() -> None:
    (found,) = beyond_share(source(0.1), contents({DAY: (88, 0)}, homeless=5, rejected=7))
    assert (found.partition, found.rows, found.of) == ("", 12, 100)
    assert not beyond_share(source(0.1), contents({DAY: (90, 0)}, homeless=5, rejected=5))


def test_history_that_the_book_leaves_out_is_no_fault() -> None:
    assert not beyond_share(source(0.1), contents({DAY: (10, 0)}, excused=1_000))


@pytest.mark.parametrize("later", [{DAY: (1, 98)}, {DAY: (2, 99)}])
def test_an_approval_holds_for_the_finding_it_was_given_for_alone(later: dict[str, tuple[int, int]]) -> None:
    (found,) = beyond_share(source(0.1), contents({DAY: (1, 99)}))
    assert not beyond_share(source(0.1), contents({DAY: (1, 99), "2024-01-02": (5, 0)}), {found.finding})
    assert beyond_share(source(0.1), contents(later), {found.finding})


@given(rows=st.integers(0, 200), bad=st.integers(0, 200), share=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_a_file_is_held_back_where_enough_of_its_own_rows_are_turned_away(rows: int, bad: int, share: float) -> None:
    faulty = {"a.csv": FileContent(rows + bad, bad, "", DAY)}
    found = beyond_share(source(share), contents({DAY: (10_000_000, bad)}, faulty=faulty), ())
    by_file = [each for each in found if each.file]
    expected = bad >= LEAST_FAULTY and bad / (rows + bad) > share
    assert [each.file for each in by_file] == (["a.csv"] if expected and share else [])
    assert not expected or found, "where the partition is held back already, the file is not told again"


def test_an_approval_of_a_file_holds_for_its_rows_alone() -> None:
    def found(content: str, approved: set[str]) -> tuple[str, ...]:
        held = contents({DAY: (1_000, 99)}, faulty={"a.csv": FileContent(100, 99, content, DAY)})
        return tuple(each.finding for each in beyond_share(source(0.1), held, approved))

    (finding,) = found("1", set())
    assert found("1", {finding}) == ()
    assert found("2", {finding}) != ()

"""What a source holds is told apart by partition; without partitions, by what can be seen at a moment."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.book.source_contents import EMPTY, PartitionContent, SourceContents
from metaplatform.specs.entities.csv_source import CsvSource

NOON = datetime(2024, 1, 3, 12, tzinfo=UTC)


def source(**fields: object) -> CsvSource:
    return CsvSource.model_validate({"name": "trips", "kind": "csv", "path": "a.csv", **fields})


def contents(partitions: dict[str, int], *, mark: str = "a", spec_hash: str = "s") -> SourceContents:
    held = {key: PartitionContent(rows, str(rows)) for key, rows in partitions.items()}
    return SourceContents(mark, spec_hash, 0, 0, 0, 0, 0, NOON, partitions=held)


MOVING = source(event_timestamp="at")
DAYS = st.dictionaries(st.sampled_from([f"2024-01-{day:02}" for day in range(1, 8)]), st.integers(1, 3))


@given(days=DAYS, later=st.integers(0, 6 * 24))
def test_a_table_without_partitions_counts_as_changed_when_rows_have_come_into_sight(
    days: dict[str, int], later: int
) -> None:
    held = contents(days)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    midnight = start + timedelta(days=later // 24)
    before, after = (held.fingerprints(MOVING, moment)[""] for moment in (start, midnight))
    passed = [day for day in days if day < midnight.strftime("%Y-%m-%d")]
    assert (before != after) == bool(passed)


def test_within_a_day_that_has_rows_every_moment_counts_and_in_one_that_has_none_no_moment_does() -> None:
    for days, same in (({"2024-01-03": 1}, False), ({"2024-01-02": 1}, True)):
        seen = {contents(days).fingerprints(MOVING, NOON + timedelta(hours=hour))[""] for hour in range(3)}
        assert (len(seen) == 1) == same


def test_files_that_were_only_touched_hold_what_they_held() -> None:
    for spec in (source(), MOVING, source(event_timestamp="at", partitions={"every": "day", "start": "2024-01-01"})):
        held = {"2024-01-02": 5} if spec.event_timestamp else {"": 5}
        assert contents(held).fingerprints(spec, NOON) == contents(held, mark="b").fingerprints(spec, NOON)


def test_a_partition_without_a_row_is_empty_whatever_is_in_quarantine() -> None:
    assert PartitionContent(0, "0", 7).fingerprint == EMPTY
    assert PartitionContent(1, "0").fingerprint != EMPTY

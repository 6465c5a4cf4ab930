"""The moments of a replay."""

from datetime import UTC, datetime
from pathlib import Path

from metaplatform.replay.ticks import cron_ticks, replay_ticks
from metaplatform.specs.loading import load_book
from metaplatform_tests.scenario import write_project


def test_a_moment_for_each_partition_end_and_each_label_maturity(tmp_path: Path) -> None:
    manifest = load_book(write_project(tmp_path))
    ticks = replay_ticks(manifest, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC))
    assert ticks == tuple(datetime(2024, month, day, tzinfo=UTC) for month in (2, 3) for day in (1, 2))


def test_cron_ticks_follow_their_time_zone_through_the_change_of_clocks() -> None:
    ticks = cron_ticks(
        "0 6 * * *", "America/New_York", datetime(2013, 3, 9, tzinfo=UTC), datetime(2013, 3, 11, tzinfo=UTC)
    )
    assert ticks == (datetime(2013, 3, 9, 11, tzinfo=UTC), datetime(2013, 3, 10, 10, tzinfo=UTC))


def test_the_last_moment_counts_and_the_first_does_not() -> None:
    start, until = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)
    assert cron_ticks("0 0 * * *", "UTC", start, until) == (datetime(2024, 1, 2, tzinfo=UTC), until)

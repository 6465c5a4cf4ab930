"""The moments of a replay."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.replay.ticks import cron_ticks, replay_ticks
from metaplatform.specs.loading import load_book
from metaplatform_tests.scenario import BOOK, write_project

CHANGES = [
    ("Europe/Berlin", datetime(2024, 3, 31, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2024, 10, 27, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 3, 10, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 11, 3, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2024, 4, 6, 15, tzinfo=UTC)),
    ("America/Santiago", datetime(2024, 9, 8, 4, tzinfo=UTC)),
    ("UTC", datetime(2024, 3, 31, 1, tzinfo=UTC)),
]
"""Zones, and moments at which their clocks change (by half an hour on Lord Howe, at midnight in Chile)."""
MINUTES = st.sampled_from([0, 15, 30, 59])


def test_a_moment_for_each_partition_end_and_each_label_maturity(tmp_path: Path) -> None:
    manifest = load_book(write_project(tmp_path))
    ticks = replay_ticks(manifest, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC))
    assert ticks == tuple(datetime(2024, month, day, tzinfo=UTC) for month in (2, 3) for day in (1, 2))


def test_cron_ticks_follow_their_time_zone_through_the_change_of_clocks() -> None:
    ticks = cron_ticks(
        "0 6 * * *", "America/New_York", datetime(2013, 3, 9, tzinfo=UTC), datetime(2013, 3, 11, tzinfo=UTC)
    )
    assert ticks == (datetime(2013, 3, 9, 11, tzinfo=UTC), datetime(2013, 3, 10, 10, tzinfo=UTC))


def test_a_row_of_another_age_makes_no_ages_of_ticks(tmp_path: Path) -> None:
    scheduled = BOOK.replace("      cooldown: 20 days", '      cooldown: 20 days\n      schedule: "0 5 * * 1"')
    manifest = load_book(write_project(tmp_path, book=scheduled))
    march = datetime(2024, 3, 1, tzinfo=UTC)
    ages = [datetime(year, 3, 1, tzinfo=UTC) for year in (1, 24, 1950)]
    ticks = replay_ticks(manifest, datetime(1, 1, 1, tzinfo=UTC), march + timedelta(days=14), [*ages, march])
    assert set(ages) < set(ticks)
    crons = [tick for tick in ticks if tick.hour == 5]
    assert 50 < sum(tick.year in {1950, 1951} for tick in crons) < 54
    assert not [tick for tick in crons if tick.year < 1900 or 1951 < tick.year < 2024]


def test_the_last_moment_counts_and_the_first_does_not() -> None:
    start, until = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)
    assert cron_ticks("0 0 * * *", "UTC", start, until) == (datetime(2024, 1, 2, tzinfo=UTC), until)


@given(change=st.sampled_from(CHANGES), hour=st.integers(0, 23), minute=MINUTES)
def test_a_daily_cron_ticks_once_each_local_day_whatever_the_clocks_do(
    change: tuple[str, datetime], hour: int, minute: int
) -> None:
    zone, moment = change
    first = moment.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0) - timedelta(days=3)
    last = first + timedelta(days=6)
    ticks = cron_ticks(
        f"{minute} {hour} * * *", zone, first.astimezone(UTC) - timedelta(seconds=1), last.astimezone(UTC)
    )
    days = [tick.astimezone(ZoneInfo(zone)).date() for tick in ticks if tick < last.astimezone(UTC)]
    assert days == [(first + timedelta(days=number)).date() for number in range(6)]


@given(
    change=st.sampled_from(CHANGES),
    hour=st.sampled_from(["*", "2", "1-3", "*/2"]),
    minute=MINUTES,
    cuts=st.lists(st.integers(0, 96 * 60), max_size=4),
)
def test_looks_in_between_change_no_tick(change: tuple[str, datetime], hour: str, minute: int, cuts: list[int]) -> None:
    """The daemon looks again and again, a replay from moment to moment: each tick comes once."""
    zone, moment = change
    start = moment - timedelta(hours=48)
    marks = [start, *(start + timedelta(minutes=cut) for cut in sorted(set(cuts) - {0})), start + timedelta(hours=97)]
    cron = f"{minute} {hour} * * *"
    pieces = [tick for before, now in pairwise(marks) for tick in cron_ticks(cron, zone, before, now)]
    assert tuple(pieces) == cron_ticks(cron, zone, marks[0], marks[-1])


@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("30 2 * * *", "2024-03-31", ["2024-03-31T01:00"]),
        ("30 2 * * *", "2024-10-27", ["2024-10-27T01:30"]),
        ("0 3 * * *", "2024-03-31", ["2024-03-31T01:00"]),
    ],
)
def test_an_hour_that_clocks_skip_or_repeat_ticks_as_the_daemon_has_it(
    cron: str, day: str, expected: list[str]
) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    ticks = cron_ticks(cron, "Europe/Berlin", start, start + timedelta(hours=23))
    assert [f"{tick:%Y-%m-%dT%H:%M}" for tick in ticks] == expected

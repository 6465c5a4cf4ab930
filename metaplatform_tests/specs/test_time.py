"""Durations and partitions: they read as they write, and partitions tile time."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from metaplatform.factories.asset_specs import partitions_definition
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import PartitionSpec

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]
durations = st.builds(Duration, months=st.integers(0, 5_000)) | st.builds(Duration, seconds=st.integers(0, 999_999))
moments = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 — naive by API
Every = Literal["hour", "day", "month"]


@given(durations)
def test_a_duration_reads_as_it_writes(duration: Duration):
    assert Duration.parse(str(duration)) == duration


@given(durations, moments)
def test_a_duration_lasts_between_its_shortest_and_its_longest(duration: Duration, moment: datetime):
    assume(duration.months < 400)
    assert duration.shortest <= duration.behind(moment) - moment <= duration.longest


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str):
    try:
        duration = Duration.parse(text)
    except ValueError:
        return
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize("text", ["7", "days", "-1 day", "1.5 days", "1 day 2 hours", "1 fortnight", "٣ days x", "1 s"])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ValueError, match="is not a duration"):
        Duration.parse(text)


def spec_of(every: Every, zone: str) -> PartitionSpec:
    start = {"hour": "2000-01-01T00", "day": "2000-01-01", "month": "2000-01"}[every]
    return PartitionSpec(every=every, start=start, timezone="UTC" if every == "hour" else zone)


@pytest.mark.parametrize(
    ("every", "first", "before"),
    [("hour", "1000-01-01T00", "0999-12-31T23"), ("day", "1000-01-01", "0999-12-31"), ("month", "1000-01", "0999-12")],
)
def test_partitions_start_in_the_year_1000_or_are_refused_with_the_reason(every: Every, first: str, before: str):
    line = PartitionSpec(every=every, start=first)
    assert line.key_of(line.window(first).start) == first
    dagsters = partitions_definition(line)
    assert dagsters is not None
    assert (dagsters.get_first_partition_key(), dagsters.has_partition_key(before)) == (first, False)
    with pytest.raises(ValidationError, match=f"start '{before}' lies before the year 1000, and Dagster names no"):
        PartitionSpec(every=every, start=before)


@given(st.sampled_from(["hour", "day", "month"]), st.sampled_from(ZONES), moments)
def test_every_moment_lies_in_the_window_of_its_key(every: Every, zone: str, moment: datetime):
    spec = spec_of(every, zone)
    window = spec.window(spec.key_of(moment))
    assert window.start <= moment < window.end
    assert spec.key_of(window.start) == spec.key_of(moment)


@given(st.sampled_from(["hour", "day", "month"]), st.sampled_from(ZONES), moments)
def test_windows_tile_time_without_gap_or_overlap(every: Every, zone: str, moment: datetime):
    """Across changes of daylight saving time too: the next window starts where this one ends."""
    spec = spec_of(every, zone)
    window = spec.window(spec.key_of(moment))
    after = spec.window(spec.key_of(window.end))
    assert after.start == window.end
    assert spec.key_of(window.end - timedelta(microseconds=1)) == spec.key_of(moment)


@given(st.sampled_from(["day", "month"]), st.sampled_from(ZONES), st.integers(0, 800))
def test_closed_keys_are_those_whose_window_has_ended(every: Every, zone: str, days: int):
    spec = spec_of(every, zone)
    until = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=days)
    keys = spec.closed_keys(until)
    assert all(spec.window(key).end <= until for key in keys)
    assert all(spec.window(one).end == spec.window(other).start for one, other in pairwise(keys))
    following = spec.key_of(spec.window(keys[-1]).end if keys else spec.window(spec.start).start)
    assert spec.window(following).end > until


@pytest.mark.parametrize(
    "fields",
    [
        {"every": "day", "start": "2024"},
        {"every": "month", "start": "2024-01-01"},
        {"every": "day", "start": "2024-01-01", "timezone": "Mars/Olympus"},
        {"every": "hour", "start": "2024-01-01T00", "timezone": "Europe/Berlin"},
        {"every": "month", "start": "2024-1"},
        {"every": "week", "start": "2024-01-01"},
    ],
)
def test_what_is_no_partitioning_is_refused(fields: dict[str, str]):
    with pytest.raises(ValidationError):
        PartitionSpec.model_validate(fields)

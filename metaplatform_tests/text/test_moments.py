"""Moments for people: by the clock of a zone, and never two alike."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.text.moments import shown
from metaplatform_tests.compute.policy.books import SHOP, book

SINCE_1900 = st.integers(0, 200 * 366 * 86_400 * 1_000_000)
MOMENTS = SINCE_1900.map(lambda micros: datetime(1900, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros))


@pytest.mark.parametrize(
    ("moment", "zone", "text"),
    [
        (datetime(2024, 1, 1, 12, 0, 5, tzinfo=UTC), "UTC", "2024-01-01 12:00:05 UTC"),
        (datetime(2024, 1, 1, 23, 30, tzinfo=UTC), "Europe/Berlin", "2024-01-02 00:30:00 CET"),
        (datetime(2024, 7, 1, 12, 0, tzinfo=UTC), "Europe/Berlin", "2024-07-01 14:00:00 CEST"),
        (datetime(2024, 7, 1, 12, 0, 0, 5, tzinfo=UTC), "UTC", "2024-07-01 12:00:00.000005 UTC"),
    ],
)
def test_a_moment_is_shown_by_the_clock_of_its_zone(moment: datetime, zone: str, text: str):
    assert shown(moment, zone) == text


@given(MOMENTS, st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]))
def test_no_two_moments_look_alike_also_where_an_hour_repeats(moment: datetime, zone: str):
    for later in (timedelta(microseconds=1), timedelta(hours=1)):
        assert shown(moment, zone) != shown(moment + later, zone)


@given(MOMENTS, st.sampled_from(["Europe/Berlin", "America/New_York"]))
def test_the_zone_in_which_a_moment_is_given_does_not_matter(moment: datetime, zone: str):
    assert shown(moment.astimezone(ZoneInfo(zone)), zone) == shown(moment, zone)


def test_a_book_has_the_zone_that_its_sources_share_and_each_entity_that_of_its_partitions():
    assert book(SHOP).timezone == "UTC"
    berlin = book(SHOP.replace("every: day, start", "timezone: Europe/Berlin, every: day, start"))
    assert berlin.timezone == "UTC", "the months of one source are UTC's"
    assert {ref: berlin.zone(ref) for ref in ("raw.orders", "models.returns", "predictions.likely", "raw.budgets")} == {
        "raw.orders": "Europe/Berlin",
        "models.returns": "Europe/Berlin",
        "predictions.likely": "Europe/Berlin",
        "raw.budgets": "UTC",
    }

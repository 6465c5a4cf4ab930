"""Time: what a point-in-time join, a window and a label need to be well defined."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.rules.timing import (
    empty_spans,
    missing_event_timestamps,
    missing_label_delays,
    models_without_identity,
)
from metaplatform_tests.specs.rules.alone import GONE, judge, shop, silent, tells

BLOCKS = "feature_sets/facts/features"
NO_MOMENT = {"sources/orders/event_timestamp": GONE, "sources/orders/partitions": GONE}
durations = st.builds(
    "{} {}".format,
    st.integers(0, 400),
    st.sampled_from(["second", "hours", "days", "weeks", "month", "quarters", "year"]),
)


def test_point_in_time_joins_need_the_moments_of_both_tables() -> None:
    tells(
        missing_event_timestamps,
        shop({**NO_MOMENT, "sources/visits/event_timestamp": GONE}),
        "error needs-event-timestamp at features.facts/features/2/table: raw.orders | add 'event_timestamp:'",
        "error needs-event-timestamp at features.facts/features/2/table: raw.visits | has no event_timestamp",
        "error needs-event-timestamp at features.facts/features/3/table: raw.orders",
        "error needs-event-timestamp at features.facts/features/3/table: raw.visits",
    )


def test_a_table_that_is_joined_with_itself_is_told_once() -> None:
    tells(
        missing_event_timestamps,
        shop({"tables/big/event_timestamp": GONE, "feature_sets/facts/spine": "tables.big", f"{BLOCKS}/2": GONE,
              f"{BLOCKS}/2/table": "tables.big"}),
        "error needs-event-timestamp at features.facts/features/2/table: tables.big | to the table",
    )  # fmt: skip


def test_lookups_and_expressions_need_no_moment() -> None:
    silent(missing_event_timestamps, shop({**NO_MOMENT, f"{BLOCKS}/3": GONE, f"{BLOCKS}/2": GONE}))
    silent(missing_event_timestamps, shop({"sources/visits": GONE}))


def test_models_need_a_key_and_a_moment() -> None:
    tells(
        models_without_identity,
        shop({**NO_MOMENT, "sources/orders/key": GONE, "models/lateness": GONE}),
        "error needs-key at models.delay/feature_set: raw.orders | has no key | add 'key:' to the source",
        "error needs-event-timestamp at models.delay/feature_set: raw.orders",
    )
    tells(
        models_without_identity,
        shop({"feature_sets/facts/spine": "tables.big", "tables/big/key": [], "models/lateness": GONE}),
        "error needs-key at models.delay/feature_set: tables.big | to the table",
    )


@pytest.mark.parametrize("lost", ["sources/orders", "feature_sets/facts", "models"])
def test_of_what_is_not_there_nothing_is_missed(lost: str) -> None:
    book = shop({"sources/orders/key": [], "sources/orders/outcomes": GONE, lost: GONE})
    silent(models_without_identity, book)
    silent(missing_label_delays, book)


def test_labels_need_a_delay_from_the_model_or_from_outcomes() -> None:
    tells(
        missing_label_delays,
        shop({"sources/orders/outcomes": GONE}),
        "error missing-label-delay at models.lateness/target (key): label_delay | how long after | 'label_delay:'",
    )
    silent(missing_label_delays, shop({"models/delay/label_delay": GONE}))
    silent(missing_label_delays, shop({"sources/orders/outcomes": GONE, "models/lateness/label_delay": "0 days"}))


@pytest.mark.parametrize(
    ("window", "holdout"),
    [("1 day", "1 day"), ("1 day", "2 days"), ("1 month", "28 days"), ("30 days", "1 month"), ("1 year", "365 days"),
     ("4 weeks", "28 days"), ("1 month", "1 month")],
)  # fmt: skip
def test_a_holdout_that_may_use_up_its_window(window: str, holdout: str) -> None:
    tells(
        empty_spans,
        shop({"models/delay/training": {"window": window, "holdout": holdout}}),
        f"error empty-span at models.delay/training/holdout: {Duration.parse(holdout)} | leaves nothing of a window of"
        " | shorter than 'training.window'",
    )


@pytest.mark.parametrize(("window", "holdout"), [("2 days", "1 day"), ("1 month", "27 days"), ("32 days", "1 month")])
def test_a_holdout_that_leaves_something(window: str, holdout: str) -> None:
    silent(empty_spans, shop({"models/delay/training": {"window": window, "holdout": holdout}}))


@pytest.mark.parametrize("holdout", ["0 days", "0 months"])
def test_a_holdout_of_nothing(holdout: str) -> None:
    tells(
        empty_spans,
        shop({"models/delay/training/holdout": holdout}),
        "error empty-span at models.delay/training/holdout: 0 seconds | no row is held out | longer than",
    )


def test_windows_that_hold_no_row_and_rows_that_are_too_old_when_known() -> None:
    tells(
        empty_spans,
        shop({f"{BLOCKS}/2/within": "1 day", f"{BLOCKS}/3/window": "0 days"}),
        "error empty-span at features.facts/features/2/within: 1 day | make 'within' longer than 'delay'",
        "error empty-span at features.facts/features/3/window: 0 seconds | no row lies in a window of 0 seconds",
    )
    silent(empty_spans, shop({f"{BLOCKS}/2/within": "25 hours", f"{BLOCKS}/3/window": "1 second"}))
    silent(empty_spans, shop({f"{BLOCKS}/2/within": GONE, f"{BLOCKS}/3/delay": "60 days"}))


@given(durations, durations)
def test_of_any_window_a_holdout_is_told_if_and_only_if_it_may_leave_no_row(window: str, holdout: str) -> None:
    issues = judge((empty_spans,), {"models": {"m": {**shop()["models"]["delay"],
                                                     "training": {"window": window, "holdout": holdout}}}})  # fmt: skip
    starts = [datetime(2000 + index // 12, index % 12 + 1, 1, tzinfo=UTC) for index in range(60)]
    lengths = [[Duration.parse(span).behind(start) - start for start in starts] for span in (window, holdout)]
    left = min(lengths[0]) > max(lengths[1]) and max(lengths[1])
    assert bool(issues) != bool(left)

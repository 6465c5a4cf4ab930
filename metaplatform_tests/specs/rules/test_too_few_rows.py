"""Numbers of rows that a book asks for and its sources never have."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.book.source_looks import SLOT, SourceLook
from metaplatform.specs.rules.too_few_rows import models_that_never_train, monitors_that_never_judge
from metaplatform_tests.specs.rules.alone import GONE, judge, shop, silent, tells

START = datetime(2024, 1, 1, tzinfo=UTC)


def days(*rows: int, source: str = "orders") -> dict[str, SourceLook]:
    """Return a look at a source that has so many rows on each day, all of them at noon."""
    noons = {START + timedelta(days=index, hours=12): count for index, count in enumerate(rows) if count}
    return {source: SourceLook(moments=noons)}


@pytest.mark.parametrize(("most", "told"), [(299, True), (300, False), (301, False)])
def test_a_monitor_needs_one_partition_with_as_many_rows_as_it_asks_for(most: int, told: bool) -> None:  # noqa: FBT001
    wanted = (
        f"warning never-judged at monitoring.shift/min_rows: 300 | has more than {most:,} rows | under 300 (min_rows)"
    )
    book = shop({"monitors/quality": GONE})
    tells(monitors_that_never_judge, book, *[wanted] * told, looks=days(10, most, 20))


def test_rows_are_counted_by_the_partitions_of_the_spine() -> None:
    looks = days(*[60] * 31, *[60] * 20)
    monthly = {"every": "month", "start": "2024-01"}
    silent(monitors_that_never_judge, shop({"sources/orders/partitions": monthly}), looks=looks)
    silent(monitors_that_never_judge, shop({"sources/orders/partitions": GONE}), looks=looks)
    (issue, _) = judge((monitors_that_never_judge,), shop(), looks=looks)
    assert "no day of raw.orders has more than 60 rows" in issue.message


def test_days_are_those_of_the_time_zone() -> None:
    nights = {START + timedelta(hours=hours): 200 for hours in (23, 25, 80)}
    looks = {"orders": SourceLook(moments=nights)}
    silent(monitors_that_never_judge, shop({"sources/orders/partitions/timezone": "Europe/Berlin"}), looks=looks)
    assert len(judge((monitors_that_never_judge,), shop(), looks=looks)) == 2


def test_one_partition_alone_may_not_be_whole_yet() -> None:
    silent(monitors_that_never_judge, shop(), looks=days(1))
    assert judge((monitors_that_never_judge,), shop(), looks=days(1, 1))


@pytest.mark.parametrize("rule", [monitors_that_never_judge, models_that_never_train])
def test_of_rows_that_were_not_counted_nothing_is_said(rule: object) -> None:
    for looks in ({}, {"orders": SourceLook()}, days(*[1] * 800, source="visits")):
        assert judge((rule,), shop(), looks=looks) == ()  # type: ignore[arg-type]
    counted = days(*[1] * 800)
    for lost in ("feature_sets/facts", "sources/orders"):
        assert judge((rule,), shop({lost: GONE}), looks=counted) == ()  # type: ignore[arg-type]
    assert judge((rule,), shop({"feature_sets/facts/spine": "tables.big"}), looks=counted) == ()  # type: ignore[arg-type]


def asks(window: str, holdout: str, *, trained: int, compared: int) -> dict[str, object]:
    """Return the changes to the shop by which one model asks for so many rows."""
    training = {"window": window, "holdout": holdout, "min_rows": trained}
    return {"models/lateness": GONE, "models/delay/training": training, "models/delay/promotion/min_rows": compared}


def test_a_model_that_is_never_trained() -> None:
    tells(
        models_that_never_train,
        shop(asks("239 hours", "1 day", trained=1_001, compared=10)),
        "warning never-trained at models.delay/training/min_rows: 1001 | no 239 hours of raw.orders"
        " | have more than 1,000 rows | under 1,001 (training.min_rows) no version is made | lengthen training.window",
        looks=days(*[100] * 20),
    )


def test_a_model_whose_versions_are_never_compared() -> None:
    tells(
        models_that_never_train,
        shop(asks("10 days", "23 hours", trained=10, compared=101)),
        "warning never-promoted at models.delay/promotion/min_rows: 101 | no 23 hours of raw.orders have more than 100"
        " | under 101 (promotion.min_rows) no version is compared | lengthen training.holdout",
        looks=days(*[100] * 20),
    )


def test_a_model_that_is_both_is_told_both() -> None:
    issues = judge(
        (models_that_never_train,), shop(asks("10 days", "1 day", trained=5_000, compared=500)), looks=days(*[100] * 20)
    )
    assert [issue.rule for issue in issues] == ["never-trained", "never-promoted"]


def test_as_many_rows_as_are_asked_for_are_enough() -> None:
    silent(
        models_that_never_train,
        shop(asks("239 hours", "23 hours", trained=1_000, compared=100)),
        looks=days(*[100] * 20),
    )


def test_data_that_are_shorter_than_the_window_say_nothing_of_it() -> None:
    book = shop(asks("10 days", "1 day", trained=5_000, compared=10))
    silent(models_that_never_train, book, looks=days(*[100] * 10))
    silent(models_that_never_train, book, looks=days(*[100] * 11))
    assert judge((models_that_never_train,), book, looks=days(*[100] * 12))


@given(st.lists(st.integers(0, 40), min_size=6, max_size=12), st.integers(1, 4), st.integers(10, 120))
def test_of_any_data_a_model_is_told_if_and_only_if_no_window_has_its_rows(
    rows: Sequence[int], window: int, least: int
) -> None:
    rows = [1, *rows, 1]
    found = judge(
        (models_that_never_train,),
        shop(asks(f"{window * 24} hours", "1 second", trained=least, compared=10)),
        looks=days(*rows),
    )
    # A slot more is counted, to be sure: rows at noon of the day that is just left behind are within it.
    most = max(sum(rows[first : first + window + 1]) for first in range(len(rows)))
    assert ("never-trained" in {issue.rule for issue in found}) == (most < least)
    assert SLOT < 86_400

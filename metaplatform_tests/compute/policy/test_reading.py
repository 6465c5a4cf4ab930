"""Readings: files that changed are read once they have settled, each state of theirs once."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.policy.reading import Looked, plan_readings, unseen
from metaplatform.specs.book.source_contents import SourceContents
from metaplatform.specs.fields.duration import Duration
from metaplatform_tests.compute.policy.books import SHOP, book
from metaplatform_tests.compute.policy.world import at

BOOK = book(SHOP.replace("path: customers.csv", "path: customers.csv\n    settle: 1 minute"))
NOW = at("2024-03-01T12:00:00")


def looked(mark: str, *, age: float = 3600, read: str | None = None) -> Looked:
    read_at = at("2024-02-01") if read else None
    return Looked(mark, NOW - timedelta(seconds=age), read, read_at)


def test_a_source_is_read_when_its_mark_is_not_the_one_read_last() -> None:
    looks = {"orders": looked("B", read="A"), "prices": looked("A", read="A"), "visits": looked("A")}
    found = plan_readings(BOOK, looks, NOW)
    assert {name: plan.contracts for name, plan in found.plans.items()} == {
        "orders": ("orders",),
        "visits": ("visits",),
    }
    assert found.plans["orders"].reason == "raw.orders: new or changed files"
    assert found.plans["visits"].reason == "raw.visits: files are read for the first time"
    assert not any(plan.refs or plan.partition for plan in found.plans.values())


@given(st.floats(0, 200))
def test_files_wait_until_they_have_not_changed_for_as_long_as_the_source_says(age: float) -> None:
    looks = {"orders": looked("A", age=age), "customers": looked("A", age=age)}
    found = plan_readings(BOOK, looks, NOW)
    assert ("orders" in found.plans) == (age >= 5)
    assert ("customers" in found.plans) == (age >= 60)
    assert len(found.plans) + len(found.notes) == 2
    assert len(plan_readings(BOOK, looks, NOW, at_rest=True).plans) == 2


def test_a_time_in_the_future_holds_no_file_up_for_ever() -> None:
    assert "orders" in plan_readings(BOOK, {"orders": looked("A", age=-3600)}, NOW).plans


def test_a_source_that_a_run_is_making_waits_for_it() -> None:
    assert not plan_readings(BOOK, {"orders": looked("A")}, NOW, busy={"raw.orders"}).plans


def test_each_change_is_a_run_of_its_own_and_the_same_change_the_same_run() -> None:
    def key(mark: str, read: str, when: str) -> str:
        look = Looked(mark, at("2024-01-01"), read, at(when))
        return plan_readings(BOOK, {"orders": look}, NOW).plans["orders"].key

    assert key("B", "A", "2024-02-01") == key("B", "A", "2024-02-01")
    assert len({key("B", "A", "2024-02-01"), key("B", "A", "2024-02-03"), key("C", "A", "2024-02-01")}) == 3


CONTENTS = SourceContents("A", "contract", 1, 1, 0, 0, 0, arrived_at=NOW)
QUARTER = Duration(seconds=900)


def keys(contents: SourceContents | None, *moments: datetime, contract: str = "contract") -> list[str]:
    """Return the keys of the runs that are planned at each moment, empty for none."""
    found = [
        plan_readings(BOOK, {"orders": unseen(contents, contract, QUARTER, moment)}, moment).plans for moment in moments
    ]
    return [plans["orders"].key if plans else "" for plans in found]


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def test_what_only_runs_ask_is_due_so_long_after_one_has_and_once_in_each_interval() -> None:
    early, due, again, later = keys(CONTENTS, minutes(14), minutes(15), minutes(29), minutes(31))
    assert early == ""
    assert due == again != ""
    assert later not in {"", due}, "a run that failed is tried again"


def test_a_run_that_finds_nothing_new_puts_the_next_one_off() -> None:
    asked = replace(CONTENTS, asked_at=minutes(15))
    first, second = keys(asked, minutes(29), minutes(31))
    assert first == ""
    assert second not in {"", *keys(CONTENTS, minutes(31))}


def test_what_was_never_read_or_by_another_contract_is_due_at_once() -> None:
    assert all(keys(None, NOW, minutes(15)))
    assert all(keys(CONTENTS, NOW, minutes(15), contract="another"))


def test_a_moment_before_the_reading_as_in_a_replay_asks_for_nothing() -> None:
    assert keys(CONTENTS, minutes(-100_000)) == [""]

"""Which partitions go into one run: all between which nobody decides, without a gap, and no more than fit."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.policy import ranges
from metaplatform.compute.policy.arrivals import plan_arrivals
from metaplatform.compute.policy.plans import ALONE_TAG
from metaplatform.compute.policy.ranges import Joining, apart, following, ranges_of
from metaplatform.compute.policy.road import Road
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform_tests.compute.policy.books import SHOP, book
from metaplatform_tests.compute.policy.world import World, at

SCHEMES = [
    PartitionSpec(every="hour", start="2024-03-31T00"),
    PartitionSpec(every="day", start="2024-03-25", timezone="Europe/Berlin"),
    PartitionSpec(every="month", start="2023-11", timezone="America/New_York"),
]
DAYS = [f"2024-01-{day:02}" for day in range(1, 29)]
DAY = PartitionSpec(every="day", start="2024-01-01")
LATER = at("2024-03-01")


@given(st.sampled_from(SCHEMES), st.sets(st.integers(0, 40)), st.integers(1, 7))
def test_ranges_make_up_the_keys_exactly_and_none_has_a_gap_or_is_too_long(
    scheme: PartitionSpec, chosen: set[int], most: int
) -> None:
    keys = [scheme.start]
    while len(keys) < 41:
        keys.append(scheme.next_key(keys[-1]))
    wanted = [keys[number] for number in sorted(chosen)]
    found = ranges_of(scheme, wanted, most)
    told = [scheme.keys_between(first, last) for first, last in found]
    assert [key for part in told for key in part] == wanted
    assert all(len(part) <= most for part in told)
    for before, after in pairwise(told):
        assert len(before) == most or scheme.next_key(before[-1]) != after[0]


def test_what_has_no_partitions_is_one_run() -> None:
    assert ranges_of(None, [""], 10) == (("", ""),)


@given(st.sets(st.sampled_from(DAYS), min_size=1), st.sets(st.sampled_from(DAYS)), st.integers(1, 9))
def test_what_follows_is_due_of_the_very_same_references(one: set[str], two: set[str], most: int) -> None:
    todo = {ref: sorted(keys) for ref, keys in (("raw.a", one), ("raw.b", two)) if keys}
    first = min(keys[0] for keys in todo.values())
    due = {ref for ref, keys in todo.items() if keys[0] == first}
    keys = [first, *following(DAY, first, todo, most)]
    assert list(DAY.keys_between(keys[0], keys[-1])) == keys
    assert len(keys) <= most
    assert all({ref for ref, held in todo.items() if key in held} == due for key in keys)


def shop(**held: str) -> World:
    world = World(book(SHOP)).put("orders", *DAYS[:9]).put("visits", *DAYS[:9])
    return world.put("customers").put("prices", **held)


def test_history_before_a_first_version_goes_in_one_piece() -> None:
    plans = shop().settle(LATER)
    orders = [plan for plan in plans if "raw.orders" in plan.refs]
    assert [(plan.partition, plan.last) for plan in orders] == [(DAYS[0], DAYS[8])]
    assert ALONE_TAG not in orders[0].tags
    assert orders[0].reason.startswith(f"new data for {DAYS[0]} to {DAYS[8]} in ")


def test_after_each_partition_that_is_judged_the_loop_may_decide() -> None:
    world = shop()
    world.scorable = set(world.manifest.predictions)
    orders = [plan for plan in world.settle(LATER) if "raw.orders" in plan.refs]
    assert [(plan.partition, plan.last) for plan in orders] == [(day, "") for day in DAYS[:9]]
    told = [plan.tags.get(ALONE_TAG, "") for plan in orders]
    assert all(text.endswith(" may act on each") for text in told[:-1])
    # Nothing waits behind the last one: nobody has kept anything from it.
    assert told[-1] == ""


def test_it_is_told_what_keeps_partitions_apart() -> None:
    manifest = book(SHOP)
    road = Road(manifest)
    assert not apart(road, ("raw.orders",), Joining())
    name = next(iter(manifest.monitors))
    watched = manifest.monitors[name].prediction_ref
    assert apart(road, (watched,), Joining()) == f"{manifest.monitors[name].ref} may act on each"


def test_a_blocked_partition_ends_the_range_before_it() -> None:
    world = shop()
    world.blocked = {("orders", DAYS[4]): "too much in quarantine"}
    plan = next(plan for plan in world.plans(LATER) if "raw.orders" in plan.refs)
    assert (plan.partition, plan.last) == (DAYS[0], DAYS[3])


def test_a_range_ends_where_it_has_enough_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "MOST_ROWS", 100)
    world = shop()
    state = replace(world.state, joining=Joining(rows={"raw.orders": dict.fromkeys(DAYS, 40)}))
    plan = next(plan for plan in plan_arrivals(world.manifest, state, LATER) if "raw.orders" in plan.refs)
    assert (plan.partition, plan.last) == (DAYS[0], DAYS[2])

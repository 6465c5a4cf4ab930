"""Arrivals over any history: what comes is ingested once and in order, and all that can be made is made."""

from collections import Counter
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.ingestion import TableSpec
from metaplatform.specs.entities.outputs import ReportOutput
from metaplatform_tests.compute.policy.books import PLAIN, SHOP, STACKED, book
from metaplatform_tests.compute.policy.world import World, at

DAYS = tuple(f"2024-01-{day:02}" for day in range(1, 6))
LATER = at("2024-03-01")
Coming = tuple[tuple[str, str], str, int]
"""(source, partition), content, days since the beginning of the year."""
History = list[list[Coming]]

# Anything may come, change, and come back, in any order, at any time.
PLACES = [
    *[("orders", day) for day in DAYS],
    *[("visits", day) for day in DAYS],
    *[("budgets", month) for month in ("2023-12", "2024-01")],
    ("customers", ""),
    ("prices", ""),
    ("trips", "2024-01"),
    ("trips", "2024-02"),
    ("houses", ""),
]
comings = st.tuples(st.sampled_from(PLACES), st.sampled_from("AB"), st.integers(0, 40))
histories = st.lists(st.lists(comings, max_size=6), max_size=5)
BOOKS = {name: book(text) for name, text in {"shop": SHOP, "plain": PLAIN, "stacked": STACKED}.items()}
books = st.sampled_from(sorted(BOOKS))


def come(world: World, events: list[Coming], *, versions: bool) -> None:
    for (source, partition), content, _ in events:
        if source in world.manifest.sources:
            world.put(source, partition, content=content)
    if versions:
        world.scorable = set(world.manifest.predictions)


def is_closed(world: World, source: str, partition: str, now: datetime) -> bool:
    line = world.manifest.sources[source].partitions
    return line is None or (partition in line.closed_keys(now))


@given(books, histories, st.integers(0, 5))
def test_everything_due_is_ingested_once_in_order_and_all_that_can_be_made_is(
    name: str, history: History, versions_from: int
) -> None:
    manifest = BOOKS[name]
    world, now = World(manifest), at("2024-01-01")
    for number, events in enumerate(history):
        come(world, events, versions=number >= versions_from)
        now = max([now, *(at("2024-01-01") + timedelta(days=days) for *_, days in events)])
        due = [
            (*place, content)
            for place, content in world.held.items()
            if is_closed(world, *place, now) and world.arrived.get(place) != content
        ]
        seen = len(world.ingested)
        world.settle(now)
        came = world.ingested[seen:]
        assert Counter(came) == Counter(due)
        for source in manifest.sources:
            keys = [partition for found, partition, _ in came if found == source]
            assert keys == sorted(keys)
        assert all(is_closed(world, source, partition, now) for source, partition, _ in came)
    assert max(Counter(world.keys).values(), default=1) == 1, "a run key that comes again is a run that never starts"
    assert_nothing_is_missing(world)


def assert_nothing_is_missing(world: World) -> None:
    on_demand = {ref for reaction in world.manifest.reactions.values() for ref in reaction.materialize}
    for ref, entity in world.manifest.entities.items():
        if not isinstance(entity, TableSpec | FeatureSetSpec | ReportOutput) or ref in on_demand:
            continue
        parent = world.manifest.partition_parent(ref) if world.manifest.partitions(ref) else None
        inputs = [up for up in world.manifest.upstream(ref) if world.is_table(up)]
        for partition in world.built.get(parent, set()) if parent else {""}:
            if all(world.has(ref, up, partition) for up in inputs):
                assert partition in world.built.get(ref, set()), (ref, partition)


@given(books, histories, st.data())
def test_runs_at_the_same_time_never_make_the_same_or_read_what_another_makes(
    name: str, history: History, data: st.DataObject
) -> None:
    manifest = BOOKS[name]
    world, now = World(manifest, scorable=set(manifest.predictions)), LATER
    for events in history:
        come(world, events, versions=True)
        for _ in range(data.draw(st.integers(1, 12))):
            plans = world.plans(now)
            making = {ref for plan, _ in world.runs for ref in plan.refs}
            for plan in plans:
                assert making.isdisjoint(plan.refs)
            partitioned = [ref for plan in plans for ref in plan.refs if manifest.partitions(ref) or ref[:4] == "raw."]
            assert max(Counter(partitioned).values(), default=1) == 1
            world.start(plans)
            for _ in range(data.draw(st.integers(0, 3))):
                if world.runs:
                    world.step(data.draw(st.integers(0, len(world.runs) - 1)))
    while world.runs:
        world.step(0)
    world.settle(now)
    assert world.arrived == world.held
    assert max(Counter(world.keys).values(), default=1) == 1
    assert_nothing_is_missing(world)


@given(books, histories)
def test_planning_twice_on_the_same_facts_gives_the_same_plans(name: str, history: History) -> None:
    manifest = BOOKS[name]
    world = World(manifest)
    for events in history:
        come(world, events, versions=False)
    again = World(manifest, held=dict(reversed(world.held.items())))
    assert world.plans(LATER) == world.plans(at("2024-03-01T00:00:09")) == again.plans(LATER)

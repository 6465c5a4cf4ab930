"""Files in any order: in the end every table is what it would be, had all come in time; no more is made again.

What each table reads is written down here once more, in days and by hand: the book's own idea of it is under test.
"""

from collections.abc import Callable, Iterable

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.naming import stable_id
from metaplatform_tests.compute.policy.books import book
from metaplatform_tests.compute.policy.world import World, at

TIMES = """
spec_version: 2
x-day: &day {kind: csv, event_timestamp: at, partitions: {every: day, start: 2024-01-01}}
sources:
  orders:
    <<: *day
    path: orders/*.csv
    columns: {id: bigint, customer: varchar, amount: double, at: timestamptz}
    key: [id]
  returns:
    <<: *day
    path: returns/*.csv
    columns: {id: bigint, customer: varchar, at: timestamptz}
    key: [id]
  visits:
    <<: *day
    path: visits/*.csv
    columns: {customer: varchar, at: timestamptz}
  budgets:
    kind: csv
    path: budgets/*.csv
    columns: {customer: varchar, at: timestamptz, budget: double}
    event_timestamp: at
    partitions: {every: month, start: 2024-01}
  customers:
    kind: csv
    path: customers.csv
    columns: {customer: varchar, country: varchar}
    key: [customer]
tables:
  labelled:
    sql: >
      select o.id, o.customer, o.at, o.amount, r.id is not null as came_back
      from raw.orders o left join raw.returns r on r.id = o.id and r.at <= o.at + interval 2 day
    partitioned_by: raw.orders
    look_ahead: 2 days
    key: [id]
    event_timestamp: at
    outcomes: {columns: [came_back], delay: 2 days}
  all_returns:
    sql: select o.id, count(r.id) as n from raw.orders o left join raw.returns r using (customer) group by o.id
    partitioned_by: raw.orders
  totals:
    sql: select customer, sum(amount) as amount from raw.orders group by customer
  large: {sql: "select id, at, amount from tables.labelled where amount > 9", partitioned_by: tables.labelled}
feature_sets:
  facts:
    spine: tables.labelled
    features:
      - {kind: window, table: raw.visits, on: {customer: customer}, window: 2 days, columns: {visits: count(*)}}
      - {kind: window, table: tables.labelled, on: {customer: customer}, window: 1 day, delay: 2 days,
         columns: {before: count(*)}}
      - {kind: as_of, table: raw.budgets, on: {customer: customer}, columns: {budget: budget}}
      - {kind: lookup, table: raw.customers, on: {customer: customer}, columns: {country: country}}
models:
  returning:
    kind: xgboost
    task: binary
    feature_set: facts
    target: {sql: came_back}
    training: {window: 30 days, holdout: 5 days}
    promotion: {metric: roc_auc}
predictions:
  likely: {model: returning, keep: [amount]}
outputs:
  likely_file: {kind: csv, table: predictions.likely}
"""
MANIFEST = book(TIMES)
DAYS = tuple(f"2024-01-{day:02}" for day in range(1, 10))
LATER = at("2024-03-01")


def days(key: str, first: int, last: int) -> list[str]:
    """Return the days from ``first`` to ``last`` after day ``key``."""
    number = int(key[-2:])
    return [f"2024-01-{day:02}" for day in range(max(1, number + first), number + last + 1)]


READS: dict[str, Callable[[str], Iterable[tuple[str, str]]]] = {
    "tables.labelled": lambda key: [("raw.orders", key), *(("raw.returns", day) for day in days(key, 0, 2))],
    "tables.all_returns": lambda key: [("raw.orders", key), *(("raw.returns", day) for day in DAYS)],
    "tables.totals": lambda _: [("raw.orders", day) for day in DAYS],
    "tables.large": lambda key: [("tables.labelled", key)],
    "features.facts": lambda key: [
        ("tables.labelled", key),
        *(("raw.visits", day) for day in days(key, -2, 0)),
        *(("tables.labelled", day) for day in days(key, -3, -2)),
        ("raw.budgets", "2024-01"),
    ],
    "predictions.likely": lambda key: [("features.facts", key), ("tables.labelled", key)],
    "outputs.likely_file": lambda key: [("predictions.likely", key)],
}


def rows_of(world: World, ref: str, partition: str) -> str:
    if ref.startswith("raw."):
        return world.held.get((ref.removeprefix("raw."), partition), "")
    read = [world.records.get(other, {}).get(key) for other, key in sorted(set(READS[ref](partition)))]
    return stable_id(ref, partition, *(made.content if made else "" for made in read))


def right_rows(world: World) -> dict[tuple[str, str], str]:
    """Return the rows of everything that was made, had it been made of the sources as they are now, in one go."""
    right = World(MANIFEST, held=world.held, records={})
    for ref in READS.keys() | {"raw.orders", "raw.returns", "raw.visits", "raw.budgets"}:
        right.records[ref] = {}
    for ref in ("raw.orders", "raw.returns", "raw.visits", "raw.budgets", *READS):
        for key in world.records.get(ref, {}):
            right.rows_of = rows_of
            right.record(ref, key)
    return {(ref, key): made.content for ref, found in right.records.items() for key, made in found.items()}


def stored(world: World) -> dict[tuple[str, str], str]:
    timed = (ref for ref in world.records if ref != "raw.customers")
    return {(ref, key): made.content for ref in timed for key, made in world.records[ref].items()}


places = st.one_of(
    st.tuples(st.sampled_from(["orders", "returns", "visits"]), st.sampled_from(DAYS)),
    st.just(("budgets", "2024-01")),
    st.just(("customers", "")),
)
batches = st.lists(st.lists(st.tuples(places, st.sampled_from("AB")), max_size=8), min_size=1, max_size=5)


@given(batches)
def test_files_in_any_order_give_the_same_tables_in_the_end(history: list[list[tuple[tuple[str, str], str]]]) -> None:
    world = World(MANIFEST, scorable={"likely"}, rows_of=rows_of)
    for batch in history:
        for (source, partition), content in batch:
            world.put(source, partition, content=content)
        world.settle(LATER)
        assert stored(world) == right_rows(world)
    assert len(set(world.keys)) == len(world.keys), "a run key that comes again is a run that never starts"


@given(st.sampled_from(["orders", "returns", "visits"]), st.sampled_from(DAYS))
def test_a_late_file_makes_again_what_reads_its_rows_and_nothing_else(source: str, late: str) -> None:
    world = World(MANIFEST, scorable={"likely"}, rows_of=rows_of)
    for name in ("orders", "returns", "visits"):
        world.put(name, *DAYS)
    world.put("budgets", "2024-01").put("customers").settle(LATER)
    done = len(world.made)
    world.put(source, late, content="B").settle(LATER)
    again = {(ref, key) for ref, key in world.made[done:] if key}
    reached = {(f"raw.{source}", late)}
    for ref, reads in READS.items():
        for key in world.records[ref]:
            if key and not reached.isdisjoint(reads(key)):
                reached.add((ref, key))
    # What stands in the late partition's own run is made with it.
    assert again - {(ref, key) for ref, key in again if key == late} <= reached
    assert reached <= again
    assert stored(world) == right_rows(world)
    beyond = sorted(key for ref, key in again if ref == "predictions.likely")
    assert len(beyond) < len(DAYS), "what lies beyond every reach stays as it is"


def test_facts_that_are_looked_up_count_as_they_were() -> None:
    world = World(MANIFEST, scorable={"likely"}, rows_of=rows_of)
    for name in ("orders", "returns", "visits"):
        world.put(name, *DAYS)
    world.put("budgets", "2024-01").put("customers").settle(LATER)
    done = len(world.made)
    world.put("customers", content="B").settle(LATER)
    assert world.made[done:] == [("raw.customers", "")]

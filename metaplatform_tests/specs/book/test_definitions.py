"""What a feature means, by everything the book computes on the way to it, and by nothing else."""

import pytest

from metaplatform.specs.book.definitions import definitions_of, redefined
from metaplatform_tests.compute.policy.books import book

TEXT = """
sources:
  orders:
    kind: csv
    path: orders.csv
    columns: {id: bigint, who: varchar, at: timestamptz, amount: double}
    derive: {net: amount / 1.2}
    key: [id]
    event_timestamp: at
  visits:
    kind: csv
    path: visits.csv
    columns: {who: varchar, at: timestamptz, pages: bigint}
    event_timestamp: at
tables:
  long_visits: {sql: "select who, at, pages from raw.visits where pages > 3", event_timestamp: at}
feature_sets:
  facts:
    spine: raw.orders
    features:
      - {kind: expression, columns: {size: amount, hour: hour(at)}}
      - {kind: expression, columns: {large: size > 10}}
      - {kind: window, table: tables.long_visits, on: {who: who}, window: 7 days, columns: {visits: count(*)}}
"""
LEARNT = definitions_of(book(TEXT), "facts")


def changed(old: str, new: str) -> set[str]:
    assert old in TEXT
    return set(redefined(LEARNT, book(TEXT.replace(old, new)), "facts"))


@pytest.mark.parametrize(
    ("old", "new", "other"),
    [
        ("size: amount,", "size: amount * 2,", {"size", "large"}),
        ("size > 10", "size > 11", {"large"}),
        ("window: 7 days", "window: 8 days", {"visits"}),
        ("pages > 3", "pages > 4", {"visits"}),
        ("amount / 1.2", "amount / 1.25", {"size", "hour", "large", "visits"}),
        (", hour: hour(at)", "", {"hour"}),
    ],
)
def test_a_change_on_the_way_to_a_feature_defines_it_anew_and_no_other(old: str, new: str, other: set[str]) -> None:
    assert changed(old, new) == other


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size: amount,", "size: AMOUNT /* as paid */,"),
        ("hour: hour(at)", "hour: hour(at), day: dayofweek(at)"),
        ("path: orders.csv", "path: elsewhere/orders.csv"),
        ("    spine: raw.orders\n", "    spine: raw.orders\n    description: what is known of an order\n"),
    ],
)
def test_what_computes_nothing_else_defines_nothing_anew(old: str, new: str) -> None:
    assert changed(old, new) == set()


def test_a_version_of_an_earlier_release_is_not_held_up() -> None:
    assert redefined({}, book(TEXT), "facts") == ()

"""Labels are known as far as what they are made of has arrived."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.policy.maturity import NOTHING_ARRIVED, arrived_until, label_sources, makes_rows_of_rows
from metaplatform.specs.book.manifest import Manifest
from metaplatform_tests.compute.policy.books import book

COLUMNS = "columns: {id: bigint, at: timestamp, paid: boolean}"
MODEL = """
feature_sets:
  facts: {{spine: {spine}, features: [{{kind: expression, columns: {{hour: hour(at)}}}}]}}
models:
  pays:
    kind: xgboost
    task: binary
    feature_set: facts
    target: {{sql: paid}}
    label_delay: 30 days
    training: {{window: 3 months, holdout: 10 days}}
    promotion: {{metric: roc_auc}}
"""
LATER = (
    "select o.id, o.at, exists (select 1 from raw.payments as p where p.at between o.at and o.at + interval 30 days) "
    "as paid from raw.orders as o"
)


def source(name: str, *, partitioned: bool = True, timed: bool = True) -> str:
    moment = "event_timestamp: at, " if timed else ""
    line = "partitions: {every: month, start: 2024-01}, " if partitioned else ""
    return f"  {name}: {{kind: csv, path: data/{name}.csv, {COLUMNS}, key: [id], {moment}{line}}}\n"


def table(name: str, sql: str) -> str:
    return f"  {name}: {{key: [id], event_timestamp: at, sql: '{sql}'}}\n"


def manifest_of(spine: str, *sources: str, tables: str = "") -> Manifest:
    return book("sources:\n" + "".join(sources) + (f"tables:\n{tables}" if tables else "") + MODEL.format(spine=spine))


def day(number: int) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)


ORDERS, PAYMENTS = source("orders"), source("payments")
JOINED = table("labelled", LATER)
CLEANED = table("cleaned", "select id, at, paid from raw.orders where id > 0")


@pytest.mark.parametrize(
    ("spine", "tables", "read"),
    [
        ("raw.orders", "", ()),
        ("tables.cleaned", CLEANED, ()),
        ("tables.labelled", JOINED, ("orders", "payments")),
        ("tables.again", JOINED + table("again", "select id, at, paid from tables.labelled"), ("orders", "payments")),
    ],
)
def test_a_label_reads_other_rows_where_the_sql_behind_it_does(spine: str, tables: str, read: tuple[str, ...]) -> None:
    manifest = manifest_of(spine, ORDERS, PAYMENTS, tables=tables)
    assert sorted(label_sources(manifest, manifest.models["pays"])) == list(read)


@pytest.mark.parametrize(
    ("sql", "own"),
    [
        ("select id, at, paid from raw.orders where id > 0 order by id", True),
        ("with o as (select * from raw.orders) select id, at from o", True),
        ("select id, at, lead(at) over (partition by paid order by at) as next from raw.orders", False),
        ("select id, max(at) as at from raw.orders group by id", False),
        ("select distinct id, at from raw.orders", False),
        ("select a.id, a.at from raw.orders as a join raw.orders as b on b.at > a.at", False),
        (
            "with o as (from raw.orders) select id, exists (select 1 from o as p where p.at > o.at) from o",
            False,
        ),
        ("select id from raw.orders where id in (select id from raw.payments)", False),
        ("select id from raw.orders union all select id from raw.payments", False),
    ],
)
def test_a_query_that_reads_other_rows_for_a_row_is_told(sql: str, *, own: bool) -> None:
    assert makes_rows_of_rows(sql) == own


@given(orders=st.none() | st.integers(1, 400), payments=st.none() | st.integers(1, 400))
def test_labels_are_known_as_far_as_every_input_has_arrived(orders: int | None, payments: int | None) -> None:
    found = {"orders": orders, "payments": payments}
    ends = {name: day(end) for name, end in found.items() if end is not None}
    expected = min(NOTHING_ARRIVED if end is None else day(end) for end in found.values())
    assert arrived_until(JOINED_BOOK, JOINED_BOOK.models["pays"], ends) == expected


JOINED_BOOK = manifest_of("tables.labelled", ORDERS, PAYMENTS, tables=JOINED)


def test_a_label_of_its_own_row_is_bounded_by_nothing_that_arrives() -> None:
    manifest = manifest_of("raw.orders", ORDERS)
    assert arrived_until(manifest, manifest.models["pays"], {}) is None


def test_a_source_that_rarely_changes_does_not_end_the_labels() -> None:
    loose = [source(name, partitioned=False) for name in ("orders", "payments")]
    manifest = manifest_of("tables.labelled", *loose, tables=JOINED)
    assert arrived_until(manifest, manifest.models["pays"], {"orders": day(90), "payments": day(3)}) == day(90)


def test_what_has_no_event_timestamp_has_no_end() -> None:
    payments = source("payments", partitioned=False, timed=False)
    tables = table("labelled", "select o.id, o.at, p.paid from raw.orders as o join raw.payments as p using (id)")
    manifest = manifest_of("tables.labelled", ORDERS, payments, tables=tables)
    assert label_sources(manifest, manifest.models["pays"]) == ("orders",)

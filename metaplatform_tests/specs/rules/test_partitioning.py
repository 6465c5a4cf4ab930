"""Partitions: they flow from an input that has them and is read."""

import pytest

from metaplatform.specs.rules.partitioning import unbounded_reads, wrong_partitions
from metaplatform_tests.specs.rules.alone import GONE, Body, shop, silent, tells

BY_VISITS = {"tables/big/partitioned_by": "raw.visits"}
DAYS = {"every": "day", "start": "2024-01-01"}


def test_partitions_of_what_has_none() -> None:
    tells(
        wrong_partitions,
        shop({**BY_VISITS, "tables/big/sql": "select * from raw.visits"}),
        "error not-partitioned at tables.big/partitioned_by: raw.visits | has no partitions | name a partitioned input",
    )


def test_partitions_of_what_is_not_read() -> None:
    tells(
        wrong_partitions,
        shop({"outputs/page/partitioned_by": "raw.orders"}),
        "error partition-not-read at outputs.page/partitioned_by: raw.orders | does not read 'raw.orders'",
    )


def test_partitions_of_what_has_none_and_is_not_read() -> None:
    tells(
        wrong_partitions,
        shop(BY_VISITS),
        "error not-partitioned at tables.big/partitioned_by: raw.visits",
        "error partition-not-read at tables.big/partitioned_by: raw.visits",
    )


def test_partitions_flow_through_tables_features_and_predictions() -> None:
    for parent in ("tables.big", "features.facts", "predictions.delays"):
        page = {"outputs/page/sql": f"select 1 as x from {parent}", "outputs/page/partitioned_by": parent}  # noqa: S608
        silent(wrong_partitions, shop(page))
        tells(
            wrong_partitions,
            shop({**page, "sources/orders/partitions": GONE, "tables/big/partitioned_by": GONE}),
            f"error not-partitioned at outputs.page/partitioned_by: {parent}",
        )


@pytest.mark.parametrize("parent", ["raw.zzz", "models.delay"])
def test_what_is_not_there_or_cannot_be_read_is_told_elsewhere(parent: str) -> None:
    silent(wrong_partitions, shop({"tables/big/partitioned_by": parent}))


def test_behind_a_loop_or_a_broken_source_partitions_are_unknown() -> None:
    loop = {
        "tables/big": {"sql": "select * from tables.other", "partitioned_by": "tables.other"},
        "tables/other": {"sql": "select * from tables.big", "partitioned_by": "tables.big"},
    }
    silent(wrong_partitions, shop(loop))
    silent(wrong_partitions, shop({"sources/orders/partitions": 3}))


def test_of_a_query_that_does_not_parse_nobody_knows_what_it_reads() -> None:
    silent(wrong_partitions, shop({"tables/big/sql": "select from where"}))


def test_a_partition_that_reads_all_of_a_partitioned_input() -> None:
    tells(
        unbounded_reads,
        two_inputs({}),
        "warning unbounded-read at tables.big/sql:1:24: raw.visits | reads all of 'raw.visits' | `look_back: 7 days`",
    )


@pytest.mark.parametrize("looks", [{"look_back": "7 days"}, {"look_ahead": "1 day"}, {"look_back": "0 days"}])
def test_a_partition_that_says_how_far_it_looks(looks: Body) -> None:
    silent(unbounded_reads, two_inputs({f"tables/big/{key}": value for key, value in looks.items()}))


def test_how_far_it_looks_means_nothing_without_a_moment() -> None:
    changes = {"tables/other": {"sql": "select pages from raw.visits", "partitioned_by": "raw.visits"}}
    sql = {"tables/big/sql": "select 1 as x from raw.orders,\ntables.other", "tables/big/look_back": "7 days"}
    tells(
        unbounded_reads,
        two_inputs({**changes, **sql}),
        "warning unbounded-read at tables.big/sql:2:1: tables.other | give 'tables.other' an event_timestamp",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"sources/visits/partitions": None},
        {"tables/big/partitioned_by": GONE},
        {"tables/big/sql": "select * from raw.orders, raw.visits where"},
        {"tables/big/sql": "select * from raw.orders, raw.zzz"},
        {"tables/big/sql": "select * from raw.orders as a, raw.orders as b"},
    ],
)
def test_reads_that_are_bounded_or_not_partitioned(changes: Body) -> None:
    silent(unbounded_reads, two_inputs(changes))


def test_a_report_is_made_for_people_and_not_made_again() -> None:
    page = {"sql": "select 1 as x from raw.orders, raw.visits", "partitioned_by": "raw.orders"}
    silent(
        unbounded_reads,
        shop({"sources/visits/partitions": DAYS, "outputs/page": {"kind": "report", "title": "T", **page}}),
    )


def two_inputs(changes: Body) -> Body:
    """Return the shop with a table, partitioned by orders, that reads partitioned visits too."""
    sql = "select pages as x from raw.visits, raw.orders"
    return shop({"sources/visits/partitions": DAYS, "tables/big/sql": sql, **changes})

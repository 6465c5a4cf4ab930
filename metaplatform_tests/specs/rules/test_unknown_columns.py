"""Names: every name is one that its table has, as far as the book can tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.book.source_looks import SourceLook
from metaplatform.specs.rules.unknown_columns import (
    unknown_columns_of_features,
    unknown_columns_of_models,
    unknown_columns_of_queries,
    unknown_columns_of_reactions,
    unknown_columns_of_tables,
)
from metaplatform_tests.specs.rules.alone import GONE, shop, silent, tells

BLOCKS = "feature_sets/facts/features"


def test_keys_times_and_outcomes_of_sources() -> None:
    tells(
        unknown_columns_of_tables,
        shop({"sources/orders/key": ["id", "idd"], "sources/orders/event_timestamp": "att",
              "sources/orders/outcomes/columns": ["late", "dais"]}),
        "error unknown-column at raw.orders/key/1: idd, perhaps id | there is no column 'idd' here",
        "error unknown-column at raw.orders/event_timestamp: att, perhaps at | name a column",
        "error unknown-column at raw.orders/outcomes/columns/1: dais, perhaps days",
    )  # fmt: skip


def test_keys_and_times_of_tables_are_columns_of_their_query() -> None:
    tells(
        unknown_columns_of_tables,
        shop({"tables/big/sql": "select id as nr, at from raw.orders"}),
        "error unknown-column at tables.big/key/0: id",
    )
    silent(unknown_columns_of_tables, shop({"tables/big/sql": "select *, 1 as nr from raw.orders"}))


def test_the_name_of_a_key_is_compared_as_it_is_written() -> None:
    tells(
        unknown_columns_of_tables,
        shop({"sources/orders/key": ["ID"]}),
        "error unknown-column at raw.orders/key/0: ID, perhaps id",
    )


def test_derivations_read_declared_columns_and_those_derived_before_in_any_case() -> None:
    derive = {"a": "ID + amunt", "b": "A + b", "c": "b + d + d", "d": "amount"}
    tells(
        unknown_columns_of_tables,
        shop({"sources/orders/derive": derive}),
        "error unknown-column at raw.orders/derive/a:1:6: amunt, perhaps amount",
        "error unknown-column at raw.orders/derive/b:1:5: b",
        "error unknown-column at raw.orders/derive/c:1:5: d, perhaps id",
    )
    silent(
        unknown_columns_of_tables, shop({"sources/orders/derive": {"a": "ID", "b": "A"}, "sources/orders/key": ["b"]})
    )


def test_of_sources_without_declared_columns_names_are_unknown_until_their_files_are_read() -> None:
    undeclared = shop({"sources/customers/columns": {}, "sources/customers/key": ["nme"]})
    silent(unknown_columns_of_tables, undeclared)
    tells(
        unknown_columns_of_tables,
        undeclared,
        "error unknown-column at raw.customers/key/0: nme, perhaps name",
        looks={"customers": SourceLook(columns={"name": "VARCHAR", "country": "VARCHAR"})},
    )


@pytest.mark.parametrize("path", ["tables/big/sql", "outputs/page/sql"])
def test_columns_of_queries(path: str) -> None:
    sql = "select amout as a, customer as c, 1 + 1, id, id\nfrom raw.orders join raw.visits on true"
    at = path.replace("/", ".", 1)
    tells(
        unknown_columns_of_queries,
        shop({path: sql}),
        f"error unknown-column at {at}:1:8: amout, perhaps amount | no column 'amout' here",
        f"error ambiguous-column at {at}:1:20: customer | in more than one of the tables | before it",
        f"error unnamed-column at {at}:1:35: 1 + 1 | has no name | `as`",
        f"error name-clash at {at}:1:46: id | two columns are named 'id' | rename one",
    )


@pytest.mark.parametrize(
    "sql",
    ["select id, AMOUNT from raw.orders", "select o.customer from raw.orders as o join raw.visits as v on true",
     "select anything from tables.nothing", "select nonsense from",
     "with c as (select id as x from raw.orders) select x from c"],
)  # fmt: skip
def test_queries_whose_columns_are_there_or_cannot_be_known(sql: str) -> None:
    silent(unknown_columns_of_queries, shop({"outputs/page/sql": sql}))


def test_features_of_the_row_read_the_spine_and_features_above() -> None:
    tells(
        unknown_columns_of_features,
        shop({f"{BLOCKS}/0/columns": {"a": "amont", "b": "A + c", "c": "b"}}),
        "error unknown-column at features.facts/features/0/columns/a:1:1: amont, perhaps amount",
        "error unknown-column at features.facts/features/0/columns/b:1:5: c",
    )
    below = {"kind": "expression", "columns": {"z": "price + hour + visits + seen_pages + vist"}}
    tells(
        unknown_columns_of_features,
        shop({f"{BLOCKS}/4": below}),
        "error unknown-column at features.facts/features/4/columns/z:1:38: vist, perhaps visits",
    )


def test_blocks_that_join_read_the_table_and_are_joined_by_the_spine_and_features_above() -> None:
    joined = {f"{BLOCKS}/2/on": {"custmer": "customer", "customer": "custmer", "price": "pages"}}
    tells(
        unknown_columns_of_features,
        shop({**joined, f"{BLOCKS}/2/columns/seen_pages": "page + amount", f"{BLOCKS}/3/where": "pges > 1"}),
        "error unknown-column at features.facts/features/2/on/custmer (key): custmer, perhaps customer",
        "error unknown-column at features.facts/features/2/on/customer: custmer, perhaps customer",
        "error unknown-column at features.facts/features/2/columns/seen_pages:1:1: page, perhaps pages",
        "error unknown-column at features.facts/features/2/columns/seen_pages:1:8: amount",
        "error unknown-column at features.facts/features/3/where:1:1: pges, perhaps pages",
    )


def test_a_block_is_not_joined_by_features_of_its_own_or_below_it() -> None:
    tells(
        unknown_columns_of_features,
        shop({f"{BLOCKS}/2/on": {"visits": "pages"}}),
        "error unknown-column at features.facts/features/2/on/visits (key): visits",
    )


@pytest.mark.parametrize("lost", ["sources/orders", "sources/orders/columns"])
def test_of_a_spine_that_is_not_known_only_the_other_tables_are_looked_at(lost: str) -> None:
    changes = {f"{BLOCKS}/0/columns/price": "zzz", f"{BLOCKS}/1/on": {"zzz": "nme"}, lost: GONE}
    tells(
        unknown_columns_of_features,
        shop(changes),
        "error unknown-column at features.facts/features/1/on/zzz: nme, perhaps name",
    )


def test_a_column_is_told_once_for_each_expression() -> None:
    tells(
        unknown_columns_of_features,
        shop({f"{BLOCKS}/0/columns": {"a": "zzz + ZZZ + zzz", "b": "zzz"}}),
        "error unknown-column at features.facts/features/0/columns/a:1:1: zzz",
        "error unknown-column at features.facts/features/0/columns/b:1:1: zzz",
    )


def test_targets_and_what_predictions_keep_are_columns_of_the_spine() -> None:
    tells(
        unknown_columns_of_models,
        shop(
            {
                "models/lateness/target": {"sql": "lat", "exclude": "price > 1"},
                "predictions/delays/keep": ["id", "custmer"],
            }
        ),
        "error unknown-column at models.lateness/target/sql:1:1: lat, perhaps late",
        "error unknown-column at models.lateness/target/exclude:1:1: price",
        "error unknown-column at predictions.delays/keep/1: custmer, perhaps customer",
    )


@pytest.mark.parametrize("lost", ["sources/orders", "feature_sets/facts", "sources/orders/columns", "models"])
def test_of_what_is_not_known_no_column_is_missed(lost: str) -> None:
    silent(
        unknown_columns_of_models,
        shop({"models/delay/target/sql": "zzz", "predictions/delays/keep": ["zzz"], lost: GONE}),
    )


def test_reactions_read_the_columns_of_their_prediction() -> None:
    tells(
        unknown_columns_of_reactions,
        shop({"reactions/call/when": "probabilty > 0.5", "reactions/call/rank_by": "amount",
              "reactions/call/columns": ["ID", "at", "scored_at", "custome"]}),
        "error unknown-column at reactions.call/when:1:1: probabilty, perhaps probability",
        "error unknown-column at reactions.call/rank_by:1:1: amount",
        "error unknown-column at reactions.call/columns/0: ID, perhaps id",
        "error unknown-column at reactions.call/columns/3: custome, perhaps customer",
    )  # fmt: skip


def test_the_partition_can_be_read_where_there_are_partitions_and_is_not_shown() -> None:
    when = {"reactions/call/when": "_partition > '2024'"}
    silent(unknown_columns_of_reactions, shop(when))
    tells(
        unknown_columns_of_reactions,
        shop({**when, "sources/orders/partitions": GONE}),
        "error unknown-column at reactions.call/when:1:1: _partition",
    )


@pytest.mark.parametrize("lost", ["predictions/lateness_scores", "models/lateness", "sources/orders"])
def test_of_a_prediction_that_is_not_known_no_column_is_missed(lost: str) -> None:
    silent(unknown_columns_of_reactions, shop({"reactions/call/when": "zzz", lost: GONE}))


@given(st.sampled_from(["amount", "Amount", "AMOUNT", "aMount"]))
def test_in_sql_names_are_compared_without_case(name: str) -> None:
    silent(unknown_columns_of_features, shop({f"{BLOCKS}/0/columns/price": name}))
    silent(unknown_columns_of_models, shop({"models/delay/target/sql": name}))

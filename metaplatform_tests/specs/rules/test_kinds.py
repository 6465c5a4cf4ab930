"""Kinds of value: every operation, condition, key, moment and target has values that it can work on."""

import pytest

from metaplatform.specs.book.source_looks import SourceLook
from metaplatform.specs.rules.kinds import (
    conditions_that_are_none,
    impossible_targets,
    inexact_keys,
    joins_of_different_kinds,
    wrong_event_timestamps,
    wrong_kinds_in_sql,
)
from metaplatform_tests.specs.rules.alone import GONE, shop, silent, tells

BLOCKS = "feature_sets/facts/features"


@pytest.mark.parametrize(
    ("path", "sql", "place", "culprit"),
    [
        ("sources/visits/derive/long", "customer + 1", "raw.visits/derive/long:1:1", "customer + 1"),
        ("tables/big/sql", "select at * 2 as x from raw.orders", "tables.big/sql:1:8", "at * 2"),
        (f"{BLOCKS}/0/columns/price", "late + at", "features.facts/features/0/columns/price:1:1", "late + at"),
        (f"{BLOCKS}/1/columns/country", "country - 1", "features.facts/features/1/columns/country:1:1", "country - 1"),
        (f"{BLOCKS}/3/where", "seen > 3", "features.facts/features/3/where:1:1", "seen > 3"),
        ("models/lateness/target/sql", "customer * 2 > 1", "models.lateness/target/sql:1:1", "customer * 2"),
        ("models/lateness/target/exclude", "at = 1", "models.lateness/target/exclude:1:1", "at = 1"),
        ("reactions/call/when", "customer + 1 > 2", "reactions.call/when:1:1", "customer + 1"),
        (
            "outputs/page/sql",
            "select amount || 1 as a, at * 1.5 as b from raw.orders",
            "outputs.page/sql:1:26",
            "at * 1.5",
        ),
    ],
)
def test_operations_that_duckdb_refuses(path: str, sql: str, place: str, culprit: str) -> None:
    tells(wrong_kinds_in_sql, shop({path: sql}), f"error wrong-kind at {place}: {culprit}")


def test_a_comparison_that_depends_on_the_values_is_a_warning() -> None:
    tells(
        wrong_kinds_in_sql,
        shop({"reactions/call/when": "customer = 3"}),
        "warning wrong-kind at reactions.call/when:1:1: customer = 3",
    )


def test_a_feature_has_the_kind_of_its_expression_for_those_below_it() -> None:
    below = {f"{BLOCKS}/0/columns": {"when_made": "at", "twice": "when_made * 2"}}
    tells(
        wrong_kinds_in_sql,
        shop(below),
        "error wrong-kind at features.facts/features/0/columns/twice:1:1: when_made * 2",
    )
    silent(wrong_kinds_in_sql, shop({f"{BLOCKS}/0/columns": {"at_hour": "hour(at)", "twice": "at_hour * 2"}}))


def test_of_columns_without_a_known_kind_nothing_is_said() -> None:
    silent(wrong_kinds_in_sql, shop({"sources/orders/columns": {}, "models/lateness/target/sql": "customer * 2 > 1"}))


@pytest.mark.parametrize(
    ("path", "sql", "place", "what"),
    [
        (f"{BLOCKS}/3/where", "pages", "features.facts/features/3/where", "a number"),
        ("models/lateness/target/exclude", " customer ", "models.lateness/target/exclude", "text"),
        ("reactions/call/when", "probability", "reactions.call/when", "a number"),
        ("reactions/call/when", "at", "reactions.call/when", "a date or timestamp"),
        ("tables/big/sql", "select id from raw.orders where amount", "tables.big/sql", "a number"),
        ("outputs/page/sql", "select 1 as x from raw.orders as o join raw.visits as v on o.id", "outputs.page/sql", ""),
    ],
)
def test_conditions_that_are_neither_true_nor_false(path: str, sql: str, place: str, what: str) -> None:
    culprit = sql.strip() if "select" not in sql else sql.rpartition(" ")[2]
    tells(
        conditions_that_are_none,
        shop({path: sql}),
        f"warning no-condition at {place}: {culprit} | true or false | this is {what} | compare it",
    )


@pytest.mark.parametrize("sql", ["bought", "pages > 1", "long", "nothing_known", "null"])
def test_conditions_that_may_be_true(sql: str) -> None:
    silent(conditions_that_are_none, shop({f"{BLOCKS}/3/where": sql}))


@pytest.mark.parametrize("lost", ["sources/visits/columns", "sources/visits", "feature_sets/facts"])
def test_of_tables_and_features_that_are_not_known_no_kind_is(lost: str) -> None:
    book = shop({f"{BLOCKS}/3/where": "pages", "sources/visits/derive": {}, lost: GONE})
    silent(conditions_that_are_none, book)
    silent(wrong_kinds_in_sql, book)


def test_only_conditions_are_held_to_be_true_or_false() -> None:
    silent(conditions_that_are_none, shop({"sources/visits/derive/long": "pages", "models/lateness/target/sql": "id"}))


@pytest.mark.parametrize(
    ("model", "sql", "says", "fix"),
    [
        ("lateness", " customer", "the target is text, and that of a binary model is true or false", "compare it"),
        ("lateness", "at", "the target is a date or timestamp", "`status = 'late'`"),
        ("delay", "customer", "that of a regression model is a number", "`x::double`"),
        ("delay", "date_trunc('day', at)", "the target is a date or timestamp", "cast it"),
    ],
)
def test_targets_that_are_text_or_a_moment(model: str, sql: str, says: str, fix: str) -> None:
    tells(
        impossible_targets,
        shop({f"models/{model}/target/sql": sql}),
        f"error wrong-type at models.{model}/target/sql: {sql.strip()} | {says} | {fix}",
    )


@pytest.mark.parametrize("sql", ["late", "days", "days > 1", "unheard_of", "length(customer)"])
@pytest.mark.parametrize("model", ["lateness", "delay"])
def test_targets_that_are_true_or_false_or_numbers(model: str, sql: str) -> None:
    silent(impossible_targets, shop({f"models/{model}/target/sql": sql}))


def test_the_target_of_a_model_without_its_features_is_not_judged() -> None:
    silent(impossible_targets, shop({"models/lateness/target/sql": "customer", "feature_sets/facts": GONE}))


@pytest.mark.parametrize(
    ("own", "their", "severity", "says"),
    [
        ("at", "bought", "error", "'at' is a date or timestamp, but 'bought', which must equal it, is true or false"),
        ("amount", "seen", "error", "'amount' is a number, but 'seen'"),
        ("customer", "pages", "warning", "'customer' is text, but 'pages'"),
        ("amount", "customer", "warning", "'customer', which must equal it, is text"),
        ("late", "pages", "warning", "'late' is true or false, but 'pages'"),
        ("AMOUNT", "Bought", "warning", "'AMOUNT' is a number"),
    ],
)
def test_joins_of_columns_of_different_kinds(own: str, their: str, severity: str, says: str) -> None:
    tells(
        joins_of_different_kinds,
        shop({f"{BLOCKS}/2/on": {"customer": "customer", own: their}} | fits(own)),
        f"{severity} wrong-kind at features.facts/features/2/on/{own} (key): {own} | {says} | one type",
    )


def fits(own: str) -> dict[str, object]:
    """Return the change to a join without the customer, where that column is the one at fault."""
    return {f"{BLOCKS}/2/on/customer": "pages"} if own == "customer" else {}


@pytest.mark.parametrize(
    ("own", "their"), [("id", "pages"), ("amount", "pages"), ("at", "seen"), ("id", "zzz"), ("zzz", "pages")]
)
def test_joins_of_columns_of_one_kind_or_of_none_that_is_known(own: str, their: str) -> None:
    silent(joins_of_different_kinds, shop({f"{BLOCKS}/2/on": {own: their}}))


def test_of_a_join_by_a_feature_above_the_kind_is_not_asked() -> None:
    above = {f"{BLOCKS}/0/columns": {"Amount": "customer"}, f"{BLOCKS}/2/on": {"amount": "customer"}}
    silent(joins_of_different_kinds, shop(above))
    below = {f"{BLOCKS}/2/on": {"amount": "customer"}, f"{BLOCKS}/3/columns/amount": "count(*)"}
    tells(
        joins_of_different_kinds,
        shop(below),
        "warning wrong-kind at features.facts/features/2/on/amount (key): amount",
    )


@pytest.mark.parametrize("written", ["timestamp", "timestamptz", "date", "timestamp_ns", "no_such_type"])
def test_event_timestamps_that_are_moments(written: str) -> None:
    silent(wrong_event_timestamps, shop({"sources/orders/columns/at": written}))


@pytest.mark.parametrize("written", ["varchar", "bigint", "double", "boolean", "timestamp[]", "interval"])
def test_event_timestamps_that_are_none(written: str) -> None:
    tells(
        wrong_event_timestamps,
        shop({"sources/orders/columns/at": written, "sources/orders/event_timestamp": "At"}),
        f"error wrong-type at raw.orders/event_timestamp: At | 'At' is {written}, which is not a moment | timestamptz",
    )


def test_names_of_moments_and_keys_are_compared_without_case() -> None:
    declared = {"sources/orders/columns": {"ID": "double", "AT": "varchar"}}
    tells(wrong_event_timestamps, shop(declared), "error wrong-type at raw.orders/event_timestamp: at")
    tells(inexact_keys, shop(declared), "warning inexact-key at raw.orders/key/0: id")
    table = {"tables/big/sql": "select id, hour(at) as at from raw.orders", "tables/big/event_timestamp": "At"}
    tells(wrong_event_timestamps, shop(table), "error wrong-type at tables.big/event_timestamp: At")


def test_the_event_timestamp_of_a_table_is_what_its_query_gives() -> None:
    tells(
        wrong_event_timestamps,
        shop({"tables/big/sql": "select id, hour(at) as AT from raw.orders"}),
        "error wrong-type at tables.big/event_timestamp: at | 'at' is a number, which is not a moment",
    )
    silent(wrong_event_timestamps, shop({"tables/big/sql": "select id, something as at from raw.orders"}))
    silent(wrong_event_timestamps, shop({"tables/big/sql": "select id from raw.orders"}))


def test_what_was_found_in_files_counts_where_nothing_is_declared() -> None:
    looks = {"orders": SourceLook(columns={"at": "VARCHAR", "id": "DOUBLE"})}
    undeclared = shop({"sources/orders/columns": {}})
    tells(
        wrong_event_timestamps,
        undeclared,
        "error wrong-type at raw.orders/event_timestamp: at | 'at' is VARCHAR",
        looks=looks,
    )
    tells(inexact_keys, undeclared, "warning inexact-key at raw.orders/key/0: id", looks=looks)
    for rule in (wrong_event_timestamps, inexact_keys):
        silent(rule, undeclared)
        silent(rule, shop(), looks=looks)


@pytest.mark.parametrize("written", ["double", "real", "float", "float8", "float4"])
def test_keys_of_floating_point_numbers(written: str) -> None:
    tells(
        inexact_keys,
        shop({"sources/visits/columns/pages": written, "sources/visits/key": ["seen", "PAGES"]}),
        f"warning inexact-key at raw.visits/key/1: PAGES | 'PAGES' is {written} | bigint, varchar or decimal",
    )


@pytest.mark.parametrize("written", ["bigint", "decimal(9, 2)", "varchar", "double[]", "no_such_type"])
def test_keys_of_exact_values(written: str) -> None:
    silent(inexact_keys, shop({"sources/visits/columns/pages": written, "sources/visits/key": ["seen", "pages"]}))


def test_floating_point_numbers_that_are_no_key() -> None:
    silent(inexact_keys, shop({"sources/customers/key": ["zzz"]}))

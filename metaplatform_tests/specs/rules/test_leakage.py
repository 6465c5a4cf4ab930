"""Leakage: no feature may know what is only known later."""

import pytest

from metaplatform.specs.rules.leakage import (
    early_labels,
    leaked_outcomes,
    leaked_targets,
    outcomes_in_identity,
    undeclared_outcomes,
)
from metaplatform_tests.specs.rules.alone import GONE, shop, silent, tells

BLOCKS = "feature_sets/facts/features"


def test_outcomes_of_the_row_itself_once_for_each_expression_in_any_case() -> None:
    tells(
        leaked_outcomes,
        shop({f"{BLOCKS}/0/columns": {"a": "Days + days", "b": "case when late then days end"}}),
        "error leaked-outcome at features.facts/features/0/columns/a:1:1: Days | not known at the row's event",
        "error leaked-outcome at features.facts/features/0/columns/b:1:11: late",
        "error leaked-outcome at features.facts/features/0/columns/b:1:21: days | 'delay' is long enough",
    )


def test_a_feature_above_hides_an_outcome_of_its_name() -> None:
    silent(leaked_outcomes, shop({f"{BLOCKS}/0/columns": {"Late": "hour(at) > 9", "b": "late"}}))
    later_block = {"kind": "expression", "columns": {"b": "late"}}
    silent(leaked_outcomes, shop({f"{BLOCKS}/0/columns": {"Late": "hour(at) > 9"}, f"{BLOCKS}/4": later_block}))


def test_what_is_derived_from_an_outcome_is_one() -> None:
    derived = {"sources/orders/derive": {"Very_late": "days > 9"}}
    tells(
        leaked_outcomes,
        shop({**derived, f"{BLOCKS}/0/columns/price": "very_late"}),
        "error leaked-outcome at features.facts/features/0/columns/price:1:1: very_late",
    )
    silent(
        leaked_outcomes, shop({"sources/orders/derive": {"dear": "amount > 9"}, f"{BLOCKS}/0/columns/price": "dear"})
    )


def test_what_is_derived_from_what_is_derived_from_an_outcome_is_one() -> None:
    tells(
        leaked_outcomes,
        shop({"sources/orders/derive": {"a": "days > 9", "b": "not a"}, f"{BLOCKS}/0/columns/price": "b"}),
        "error leaked-outcome at features.facts/features/0/columns/price:1:1: b",
    )


def test_a_row_cannot_be_joined_by_its_outcome() -> None:
    tells(
        leaked_outcomes,
        shop({f"{BLOCKS}/1/on": {"late": "name"}}),
        "error leaked-outcome at features.facts/features/1/on/late (key): late",
    )


def test_a_row_that_is_looked_up_may_be_one_whose_outcome_nobody_knows_yet() -> None:
    lookup = {"kind": "lookup", "table": "raw.visits", "on": {"customer": "customer"}}
    tells(
        leaked_outcomes,
        shop({f"{BLOCKS}/1": {**lookup, "columns": {"f": "bought"}}}),
        "error leaked-outcome at features.facts/features/1/columns/f:1:1: bought | known 2 days after",
    )
    silent(leaked_outcomes, shop({f"{BLOCKS}/1": {**lookup, "columns": {"f": "pages"}}}))


@pytest.mark.parametrize(
    ("delay", "known"),
    [("2 days", "2 days"), ("3 days", "2 days"), ("48 hours", "2 days"), ("1 month", "28 days"), ("31 days", "1 month"),
     ("1 month", "1 month"), ("1 quarter", "3 months"), ("0 days", "0 days")],
)  # fmt: skip
def test_past_rows_whose_outcome_is_known(delay: str, known: str) -> None:
    silent(leaked_outcomes, shop({f"{BLOCKS}/3/delay": delay, "sources/visits/outcomes/delay": known}))


@pytest.mark.parametrize(
    ("delay", "known"),
    [("47 hours", "2 days"), ("0 seconds", "1 second"), ("1 month", "29 days"), ("30 days", "1 month"),
     ("1 month", "1 quarter"), ("11 months", "1 year")],
)  # fmt: skip
def test_past_rows_whose_outcome_is_not_known_yet(delay: str, known: str) -> None:
    tells(
        leaked_outcomes,
        shop({f"{BLOCKS}/3/delay": delay, "sources/visits/outcomes/delay": known}),
        "error leaked-outcome at features.facts/features/3/columns/bought:1:5: bought"
        f" | known {known} after the event only, and 'delay' is {delay}",
    )


def test_conditions_and_joins_of_past_rows_wait_as_well() -> None:
    changes = {f"{BLOCKS}/3/delay": "1 day", f"{BLOCKS}/3/columns": {"f": "count(*)"}}
    tells(
        leaked_outcomes,
        shop({**changes, f"{BLOCKS}/3/where": "bought", f"{BLOCKS}/3/on": {"customer": "Bought"}}),
        "error leaked-outcome at features.facts/features/3/on/customer: Bought",
        "error leaked-outcome at features.facts/features/3/where:1:1: bought",
    )


@pytest.mark.parametrize("lost", ["sources/orders", "sources/visits", "sources/orders/outcomes"])
def test_of_tables_without_outcomes_nothing_leaks(lost: str) -> None:
    silent(leaked_outcomes, shop({f"{BLOCKS}/0/columns/price": "id", lost: GONE}))


def test_keys_and_event_timestamps_that_are_outcomes() -> None:
    tells(
        outcomes_in_identity,
        shop({"sources/orders/key": ["id", "Late"], "sources/orders/event_timestamp": "days"}),
        "error leaked-outcome at raw.orders/key/1: Late | known at once",
        "error leaked-outcome at raw.orders/event_timestamp: days",
    )


def test_a_derived_outcome_in_the_key_and_one_that_is_both_is_told_once() -> None:
    tells(
        outcomes_in_identity,
        shop({"sources/visits/derive/gone": "not bought", "sources/visits/key": ["seen", "gone"],
              "sources/visits/event_timestamp": "gone"}),
        "error leaked-outcome at raw.visits/key/1: gone",
    )  # fmt: skip


def test_identities_beside_outcomes_are_sound() -> None:
    silent(outcomes_in_identity, shop({"sources/orders/outcomes": GONE, "sources/orders/key": ["late"]}))


def test_outcomes_that_a_table_hands_on_as_columns_like_any_other() -> None:
    sql = "select id, at, Late, days as later\nfrom raw.orders"
    tells(
        undeclared_outcomes,
        shop({"tables/big/sql": sql}),
        "warning undeclared-outcome at tables.big/sql:2:6: Late | an outcome of 'raw.orders' | this table's 'outcomes'",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"tables/big/outcomes": {"columns": ["LATE"], "delay": "7 days"}},
        {"tables/big/event_timestamp": GONE},
        {"sources/orders/outcomes": GONE},
        {"sources/orders": GONE},
        {"tables/big/sql": "select * from raw.zzz"},
    ],
)
def test_outcomes_that_are_called_so_or_are_none(changes: dict[str, object]) -> None:
    silent(undeclared_outcomes, shop({"tables/big/sql": "select id, at, late from raw.orders", **changes}))


def test_features_that_are_the_target() -> None:
    tells(
        leaked_targets,
        shop({"models/delay/target/sql": "coalesce(ID, 0)", f"{BLOCKS}/0/columns/Same": "coalesce( id , 0 )"}),
        "error leaked-target at models.delay/feature_set: Same | feature 'Same' is the target | exclude it",
    )


def test_features_that_read_all_that_the_target_is_made_of() -> None:
    target = {"models/lateness/target/sql": "amount > 3 and id > 1", "models/delay/exclude": ["hour"]}
    tells(
        leaked_targets,
        shop({**target, f"{BLOCKS}/0/columns/hour": "id + Amount + days"}),
        "warning leaked-target at models.lateness/features/1: hour | reads all that the target is made of",
    )
    silent(leaked_targets, shop({**target, f"{BLOCKS}/0/columns/hour": "id + days"}))


def test_features_that_the_model_does_not_take_are_no_harm() -> None:
    silent(leaked_targets, shop({"models/delay/target/sql": "amount", "models/delay/exclude": ["price"]}))
    tells(
        leaked_targets,
        shop({"models/delay/target/sql": "amount"}),
        "error leaked-target at models.delay/feature_set: price",
    )


def test_what_is_read_of_another_table_is_not_the_target() -> None:
    silent(leaked_targets, shop({"models/delay/target/sql": "pages", f"{BLOCKS}/2/columns/pages": "pages"}))


@pytest.mark.parametrize("sql", ["1 = 1", "amount >"])
def test_a_target_of_no_column_is_in_no_feature(sql: str) -> None:
    silent(leaked_targets, shop({"models/lateness/target/sql": sql}))


def test_a_feature_that_does_not_parse_is_not_the_target() -> None:
    silent(leaked_targets, shop({"models/delay/target/sql": "amount", f"{BLOCKS}/0/columns/price": "amount +"}))


@pytest.mark.parametrize("delay", ["6 days", "167 hours", "0 seconds"])
def test_labels_that_are_made_before_their_outcomes_are_known(delay: str) -> None:
    tells(
        early_labels,
        shop({"models/delay/label_delay": delay}),
        f"error early-label at models.delay/label_delay: {delay} | known 1 week after | make it 1 week or more",
    )


@pytest.mark.parametrize("delay", ["7 days", "1 week", "169 hours", "1 month", GONE])
def test_labels_that_wait_long_enough(delay: object) -> None:
    silent(early_labels, shop({"models/delay/label_delay": delay}))


def test_what_is_excluded_reads_outcomes_too() -> None:
    model = {"models/delay/label_delay": "1 day", "models/delay/target": {"sql": "amount", "exclude": "LATE"}}
    tells(early_labels, shop(model), "error early-label at models.delay/label_delay: 1 day")


@pytest.mark.parametrize("target", [{"sql": "amount"}, {"sql": "amount", "exclude": "id > 3"}])
def test_a_target_without_outcomes_waits_for_nothing(target: dict[str, str]) -> None:
    silent(early_labels, shop({"models/delay/label_delay": "1 day", "models/delay/target": target}))


def test_a_spine_without_outcomes_has_none_to_wait_for() -> None:
    silent(early_labels, shop({"models/delay/label_delay": "1 day", "sources/orders/outcomes": GONE}))

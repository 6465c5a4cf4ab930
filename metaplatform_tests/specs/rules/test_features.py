"""Features: which a model takes, and what their expressions may be."""

import pytest

from metaplatform.specs.rules.features import misplaced_aggregates, unknown_features
from metaplatform_tests.specs.rules.alone import GONE, shop, silent, tells

BLOCKS = "feature_sets/facts/features"


def test_features_taken_or_excluded_that_the_set_lacks() -> None:
    tells(
        unknown_features,
        shop({"models/lateness/features": ["hour", "prise"], "models/lateness/exclude": ["zzz"]}),
        "error unknown-feature at models.lateness/features/1: prise, perhaps price | no feature 'prise'",
        "error unknown-feature at models.lateness/exclude/0: zzz",
    )


def test_features_of_every_block_are_there_as_they_are_written() -> None:
    silent(unknown_features, shop({"models/delay/features": ["price", "hour", "country", "seen_pages", "bought"]}))
    tells(
        unknown_features,
        shop({"models/delay/features": ["Price"]}),
        "error unknown-feature at models.delay/features/0: Price, perhaps price",
    )


def test_a_model_left_without_features() -> None:
    tells(
        unknown_features,
        shop({"models/delay/features": ["price", "hour"], "models/delay/exclude": ["hour", "price"]}),
        "error no-features at models.delay/exclude (key): exclude | no feature is left | exclude fewer",
    )


def test_one_feature_is_enough() -> None:
    silent(unknown_features, shop({"models/delay/features": ["price", "hour"], "models/delay/exclude": ["hour"]}))


def test_of_a_model_with_unknown_features_nobody_says_that_none_is_left() -> None:
    tells(
        unknown_features,
        shop({"models/delay/features": ["price"], "models/delay/exclude": ["price", "prize"]}),
        "error unknown-feature at models.delay/exclude/1: prize, perhaps price",
    )


def test_monitors_exclude_features_that_the_model_takes() -> None:
    tells(
        unknown_features,
        shop({"monitors/shift/exclude": ["price", "visits", "contry"]}),
        "error unknown-feature at monitoring.shift/exclude/1: visits",
        "error unknown-feature at monitoring.shift/exclude/2: contry, perhaps country",
    )


@pytest.mark.parametrize("lost", ["feature_sets/facts", "models/lateness", "predictions/lateness_scores"])
def test_of_what_is_not_there_no_feature_is_missed(lost: str) -> None:
    silent(unknown_features, shop({"models/delay/exclude": [], "monitors/shift/exclude": ["zzz"], lost: GONE}))


def test_aggregates_where_one_row_is_looked_at() -> None:
    tells(
        misplaced_aggregates,
        shop(
            {
                f"{BLOCKS}/0/columns/price": " avg(amount)",
                f"{BLOCKS}/3/where": "count(*) > 1",
                "models/delay/target/sql": "max(days)",
                "sources/visits/derive/long": "pages > sum(pages)",
                "reactions/call/when": "avg(probability) > 0.5",
            }
        ),
        "error misplaced-aggregate at raw.visits/derive/long: pages > sum(pages)",
        "error misplaced-aggregate at features.facts/features/0/columns/price: avg(amount) | this expression sees one",
        "error misplaced-aggregate at features.facts/features/3/where: count(*) > 1 | use a `window` block",
        "error misplaced-aggregate at models.delay/target/sql: max(days)",
        "error misplaced-aggregate at reactions.call/when: avg(probability) > 0.5",
    )


@pytest.mark.parametrize(
    ("sql", "culprit"),
    [("pages", "pages"), ("avg(pages) + pages", "pages"), ("1", "1"), ("pages / sum(seen_pages)", "pages")],
)
def test_window_features_that_are_no_aggregate(sql: str, culprit: str) -> None:
    tells(
        misplaced_aggregates,
        shop({f"{BLOCKS}/3/columns": {"visits": sql}}),
        f"error not-aggregated at features.facts/features/3/columns/visits: {culprit} | avg(…)",
    )


@pytest.mark.parametrize(
    "sql",
    ["count(*)", "avg(pages) / max(pages)", "sum(pages) filter (where bought)", "round(avg(pages + 1), 2) + 1",
     "quantile_cont(pages, 0.5)"],
)  # fmt: skip
def test_aggregates_of_a_window(sql: str) -> None:
    silent(misplaced_aggregates, shop({f"{BLOCKS}/3/columns": {"visits": sql}}))


@pytest.mark.parametrize("block", [1, 2])
def test_blocks_that_join_one_row_aggregate_nothing(block: int) -> None:
    tells(
        misplaced_aggregates,
        shop({f"{BLOCKS}/{block}/columns": {"f": "max(pages)"}}),
        f"error misplaced-aggregate at features.facts/features/{block}/columns/f: max(pages)",
    )


def test_of_sql_that_does_not_parse_nobody_knows_whether_it_aggregates() -> None:
    silent(misplaced_aggregates, shop({f"{BLOCKS}/0/columns/price": "avg(", f"{BLOCKS}/3/columns/visits": "pages +"}))


def test_what_is_shown_of_an_expression_is_its_beginning() -> None:
    long = "count(*) + " + " + ".join(["amount"] * 40)
    tells(
        misplaced_aggregates,
        shop({f"{BLOCKS}/0/columns/price": long}),
        f"error misplaced-aggregate at features.facts/features/0/columns/price: {long[:80]}",
    )

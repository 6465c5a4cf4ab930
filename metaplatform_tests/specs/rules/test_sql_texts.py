"""SQL texts of the book: each one parses, before any other rule looks into it."""

import pytest

from metaplatform.specs.rules.sql_texts import broken_sql, facts_of, query_error
from metaplatform_tests.specs.rules.alone import shop, silent, tells

EXPRESSIONS = {
    "sources/visits/derive/long": "raw.visits/derive/long",
    "feature_sets/facts/features/0/columns/price": "features.facts/features/0/columns/price",
    "feature_sets/facts/features/3/columns/visits": "features.facts/features/3/columns/visits",
    "feature_sets/facts/features/3/where": "features.facts/features/3/where",
    "models/delay/target/sql": "models.delay/target/sql",
    "models/delay/target/exclude": "models.delay/target/exclude",
    "reactions/call/when": "reactions.call/when",
    "reactions/call/rank_by": "reactions.call/rank_by",
}


@pytest.mark.parametrize(("path", "place"), EXPRESSIONS.items())
def test_every_expression_of_the_book_must_parse(path: str, place: str) -> None:
    tells(broken_sql, shop({path: "1 +\n(2 * )"}), f"error sql-syntax at {place}:2:6: )")


@pytest.mark.parametrize("path", ["tables/big/sql", "outputs/page/sql"])
def test_every_query_of_the_book_must_parse(path: str) -> None:
    place = path.replace("/", ".", 1)
    tells(broken_sql, shop({path: "select 1 as x\nfrom raw.orders where ("}), f"error sql-syntax at {place}:2:23: (")


def test_what_sql_may_not_do() -> None:
    tells(
        broken_sql,
        shop(
            {
                "reactions/call/when": "random() > 0.5",
                "tables/big/sql": "drop table raw.orders",
                "reactions/call/rank_by": "sum(id) over ()",
            }
        ),
        "error sql-syntax at tables.big/sql:1:1: drop",
        "error impure-function at reactions.call/when:1:1: random",
        "error forbidden-sql at reactions.call/rank_by:1:1: SUM(id) OVER ()",
    )


def test_a_function_that_there_is_not_has_a_nearest_one() -> None:
    tells(
        broken_sql,
        shop({"models/delay/target/sql": "coalesc(days, 0)"}),
        "error unknown-function at models.delay/target/sql:1:1: coalesc, perhaps coalesce",
    )


def test_a_table_without_its_prefix_has_a_nearest_one() -> None:
    tells(
        broken_sql,
        shop({"outputs/page/sql": "select 1 as x from orders"}),
        "error unknown-reference at outputs.page/sql:1:20: orders, perhaps raw.orders",
    )


@pytest.mark.parametrize("written", ["intger", "varchar(", "decimal(40, 2)", "mediumint", "list"])
def test_types_that_duckdb_does_not_know(written: str) -> None:
    book = shop({"sources/orders/columns/days": written})
    tells(broken_sql, book, f"error unknown-type at raw.orders/columns/days:1:1: {written}")


@pytest.mark.parametrize(
    "written", ["INTEGER", "decimal(9, 2)", "varchar[]", "struct(a integer)", "timestamp with time zone"]
)
def test_types_that_duckdb_knows(written: str) -> None:
    silent(broken_sql, shop({"sources/orders/columns/days": written}))


@pytest.mark.parametrize(
    "sql", ["days", "case when late then 1 end", "sum(days) filter (where late)", "days -- a comment"]
)
def test_expressions_that_parse(sql: str) -> None:
    silent(broken_sql, shop({"models/delay/target/sql": sql}))


def test_each_broken_text_is_told_in_the_order_of_the_book() -> None:
    tells(
        broken_sql,
        shop(
            {
                "reactions/call/when": "(",
                "sources/orders/columns/id": "bigit",
                "sources/visits/derive": {"a": "(", "b": "("},
            }
        ),
        "error unknown-type at raw.orders/columns/id:1:1: bigit",
        "error sql-syntax at raw.visits/derive/a:1:1: (",
        "error sql-syntax at raw.visits/derive/b:1:1: (",
        "error sql-syntax at reactions.call/when:1:1: (",
    )


def test_facts_of_an_expression() -> None:
    facts = facts_of('a + sum(b) filter (where "C d") + A +\n a')
    assert facts.uses == (("a", (1, 1)), ("b", (1, 9)), ("C d", (1, 26)), ("A", (1, 35)), ("a", (2, 2)))
    assert facts.columns == ("a", "b", "C d", "A")
    assert facts.outside == ("a", "A", "a")
    assert facts.aggregates
    assert not facts_of("a + 1").aggregates
    assert facts_of("a + (").error is not None
    assert facts_of("a + (").uses == ()


def test_errors_of_a_query() -> None:
    assert query_error("select 1 as x") is None
    error = query_error("select 1 as x from (")
    assert error is not None
    assert error.rule == "sql-syntax"

"""The dialect: what the platform composes is read by DuckDB as it was meant."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp
from sqlglot.errors import ParseError

from metaplatform.sql.dialect import NAME, call, cast_to, for_engine, literal, parsed, sql_text, type_of


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
def test_any_text_is_a_literal_that_says_it_again(text: str) -> None:
    assert duckdb.sql(f"select {literal(text)}").fetchall() == [(text,)]


def test_only_functions_of_the_list_are_called_by_their_bare_name() -> None:
    assert sql_text(call("length", exp.column("a"))).lower() == "length(a)"
    with pytest.raises(KeyError, match="drop_everything"):
        call("drop_everything")


def test_types_are_those_of_the_book() -> None:
    assert type_of("int") == type_of("INTEGER")
    assert sql_text(cast_to(exp.column("a"), "decimal(9, 2)")) == "CAST(a AS DECIMAL(9, 2))"
    with pytest.raises(ParseError):
        type_of("no type (")


@pytest.mark.parametrize("column", ["at", "end", "select", 'say "hi"', "Größe", "a.b"])
def test_columns_named_by_words_of_sql_reach_the_engine_as_they_are(column: str) -> None:
    quoted = exp.to_identifier(column, quoted=True).sql(NAME)
    query = parsed(f"select 1 as {quoted}")
    assert isinstance(query, exp.Query)
    found = duckdb.sql(for_engine(query, NAME))
    assert found.columns == [column]
    assert found.fetchall() == [(1,)]


def test_a_recursion_at_the_top_stays_one() -> None:
    query = parsed("with recursive r(n) as (select 1 union all select n + 1 from r where n < 4) select n from r")
    assert isinstance(query, exp.Query)
    assert duckdb.sql(for_engine(query, NAME)).fetchall() == [(1,), (2,), (3,), (4,)]

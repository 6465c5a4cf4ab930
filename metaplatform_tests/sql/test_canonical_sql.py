"""One form for every SQL text that means the same, and no form that means something else."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.sql.expressions import canonical_sql
from metaplatform_tests.specs.sound_books import Columns, expressions

KINDS = {"n": "number", "m": "number", "t": "text", "b": "boolean", "at": "moment"}
ROWS = """
(values (1, 2.5, 'abc', true, timestamp '2024-03-01 10:00'), (0, -1, '', false, timestamp '2024-01-01'),
        (-7, 0, 'x', null, null), (null, null, null, true, timestamp '1999-12-31 23:59:59'))
as rows(n, m, t, b, "at")
"""


def values_of(sql: str) -> list[tuple[object, ...]]:
    """Return what DuckDB makes of an expression in each of the rows."""
    return duckdb.sql(f"select {sql} from {ROWS}").fetchall()  # noqa: S608


@st.composite
def sound(draw: st.DrawFn) -> str:
    return expressions(draw, Columns(KINDS), draw(st.sampled_from(["number", "text", "boolean", "moment"])))


@given(sound())
def test_the_canonical_form_is_its_own_and_has_the_same_values(sql: str) -> None:
    canonical = canonical_sql(sql)
    assert canonical_sql(canonical) == canonical
    assert values_of(canonical) == values_of(sql)


def with_words_in(sql: str, case: str) -> str:
    """Return an expression with all that is not in quotes in another letter case."""
    texts = sql.split("'")
    return "'".join(getattr(part, case)() if index % 2 == 0 else part for index, part in enumerate(texts))


@given(
    sound(), st.sampled_from(["upper", "lower", "title"]), st.sampled_from([" ", "\n", "\t", " /* x */ ", " -- y\n"])
)
def test_spacing_comments_letter_case_quotes_and_parentheses_change_nothing(sql: str, case: str, space: str) -> None:
    plain = sql.replace('"', "")
    canonical = canonical_sql(sql)
    for other in (plain, with_words_in(plain, case), f"({plain})", f"{space}{plain}{space}", f"(({sql}))"):
        assert canonical_sql(other) == canonical


@given(st.lists(st.sampled_from(["n > 1", "t = 'x'", "b", "m between 1 and 2", "n = 1 or b"]), min_size=2, max_size=5),
       st.sampled_from(["and", "or"]), st.data())  # fmt: skip
def test_the_order_of_terms_changes_nothing(terms: list[str], word: str, data: st.DataObject) -> None:
    terms = [f"({term})" for term in terms]
    shuffled = data.draw(st.permutations(terms))
    one, other = f" {word} ".join(terms), f" {word} ".join(shuffled)
    assert canonical_sql(one) == canonical_sql(other)
    assert values_of(one) == values_of(canonical_sql(other))


@given(sound(), sound())
def test_texts_whose_values_differ_differ(one: str, other: str) -> None:
    if values_of(one) != values_of(other):
        assert canonical_sql(one) != canonical_sql(other)


QUERY = "select n as x from raw.a"
SAME = [
    ("select n as x from raw.a inner join raw.b on true", "select n as x from raw.a join raw.b on true"),
    ("select n as x from raw.a left outer join raw.b on true", "select n as x from raw.a left join raw.b on true"),
    (f"{QUERY} order by n asc", f"{QUERY} ORDER BY N"),
    ("select Q.n as x from raw.a as Q", "select q.N as x from raw.a as q"),
    ("with C as (select 1 as n) select n as x from C", "with c as (select 1 as n) select N as x from c"),
    ("select n from raw.a", "select N from raw.a"),
    ("select (n + 1) as x from raw.a where ((b))", "select n + 1 as x from raw.a where b"),
]
DIFFERENT = [
    (QUERY, "select n as X from raw.a"),
    ("select n + 1 from raw.a", "select N + 1 from raw.a"),
    (QUERY, "select distinct n as x from raw.a"),
    (QUERY, "select n as x from raw.b"),
    (QUERY, "select n as x from raw.A"),
    (f"{QUERY} order by n", f"{QUERY} order by n desc"),
    (f"{QUERY} order by n, m", f"{QUERY} order by m, n"),
    (f"{QUERY} left join raw.b on true", f"{QUERY} join raw.b on true"),
    (f"{QUERY} union select 1", f"{QUERY} union all select 1"),
    ("n - (m - 1)", "n - m - 1"),
    ("not (b and n > 1)", "not b and n > 1"),
    ("t = 'x'", "t = 'X'"),
    ("n / m", "m / n"),
    ("coalesce(n, m)", "coalesce(m, n)"),
    ("n::integer", "n::bigint"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_words_that_a_query_need_not_have(one: str, other: str) -> None:
    assert canonical_sql(one) == canonical_sql(other)
    assert canonical_sql(canonical_sql(one)) == canonical_sql(one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_texts_that_mean_something_else(one: str, other: str) -> None:
    assert canonical_sql(one) != canonical_sql(other)


@pytest.mark.parametrize("word", ["and", "or"])
def test_a_chain_of_thousands_has_a_form(word: str) -> None:
    terms = [f"n = {number}" for number in range(1_000)]
    assert canonical_sql(f" {word} ".join(terms)) == canonical_sql(f" {word} ".join(reversed(terms)))

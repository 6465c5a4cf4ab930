"""Columns as values: names without case, and kinds as far as all agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from metaplatform.sql.columns import (
    Column,
    Columns,
    folded,
    kind_of_hidden,
    kinds_of,
    readable_names,
    renamed_by,
    together,
    united_by_name,
    united_by_place,
)
from metaplatform.sql.dialect import parsed

A, B = Column("a", "number"), Column("B", "text")
columns = st.lists(
    st.builds(Column, st.sampled_from(["a", "A", "b", "c"]), st.sampled_from(["number", "text", None])), max_size=4
).map(tuple)


def test_names_are_compared_without_case() -> None:
    assert kinds_of((A, B)) == {"a": "number", "b": "text"}
    assert folded((A, B)) == {"a", "b"}
    assert kinds_of(None) is None
    assert folded(None) == frozenset()


def test_of_a_name_that_several_columns_have_a_kind_is_known_if_they_share_it() -> None:
    assert kinds_of((A, Column("A", "number"))) == {"a": "number"}
    assert kinds_of((A, Column("A", "text"))) == {"a": None}
    assert kinds_of((A, Column("A"))) == {"a": None}


def test_the_hidden_column_can_be_read_of_anything() -> None:
    assert readable_names((A,)) == {"a", "_partition"}
    assert (kind_of_hidden("_partition"), kind_of_hidden("a")) == ("text", None)


def test_what_stands_together_is_known_if_both_are() -> None:
    assert together((A,), (B,)) == (A, B)
    assert together((A,), None) is None
    assert together(None, (B,)) is None


@given(columns, columns)
def test_united_by_place_names_are_the_first_ones_and_kinds_what_both_agree_on(
    left: tuple[Column, ...], right: tuple[Column, ...]
) -> None:
    found = united_by_place(left, right)
    assert found is not None
    assert [column.name for column in found] == [column.name for column in left]
    for index, column in enumerate(found):
        agreed = len(left) == len(right) and left[index].kind == right[index].kind
        assert column.kind == (left[index].kind if agreed else None)


def test_united_with_what_is_not_known() -> None:
    assert united_by_place((A,), None) == (Column("a"),)
    assert united_by_place(None, (A,)) is None
    assert united_by_name((A,), None) is None
    assert united_by_name(None, (A,)) is None


@given(columns, columns)
def test_united_by_name_each_name_is_there_once_as_it_was_first_written(
    left: tuple[Column, ...], right: tuple[Column, ...]
) -> None:
    found = united_by_name(left, right)
    assert found is not None
    first: dict[str, str] = {}
    for column in (*left, *right):
        first.setdefault(column.name.lower(), column.name)
    assert [column.name for column in found] == list(first.values())
    assert {column.name.lower(): column.kind for column in found} == kinds_of((*left, *right))


@pytest.mark.parametrize(
    ("given_names", "wanted"),
    [("", (A, B)), ("(x)", (Column("x", "number"), B)), ("(x, y)", (Column("x", "number"), Column("y", "text"))),
     ("(x, y, z)", (Column("x", "number"), Column("y", "text"), Column("z")))],
)  # fmt: skip
def test_an_alias_names_the_first_columns(given_names: str, wanted: Columns) -> None:
    alias = next(parsed(f"select 1 from t as u{given_names}").find_all(exp.Table)).args["alias"]  # noqa: S608
    assert renamed_by((A, B), alias) == wanted
    assert renamed_by(None, alias) is None
    assert renamed_by((A, B), None) == (A, B)

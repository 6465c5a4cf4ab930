"""Types of columns: what is called one is one to DuckDB, and what is not is refused there too."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from metaplatform.sql.column_types import column_type_error
from metaplatform.sql.expressions import canonical_type
from metaplatform.sql.sql_safety import SqlError


def duckdb_has(written: str) -> bool:
    """Tell whether DuckDB casts to a type, written as the platform writes it."""
    try:
        duckdb.sql(f"select null::{canonical_type(written)}")
    except (duckdb.Error, SqlError):
        return False
    return True


@pytest.mark.parametrize("written", [kind.value.lower() for kind in exp.DType])
def test_of_all_types_that_the_parser_knows_those_of_duckdb_are_taken(written: str) -> None:
    assert (column_type_error(written) is None) == duckdb_has(written)


@given(st.lists(st.integers(0, 41), max_size=3))
def test_decimals_of_any_size_are_taken_as_duckdb_takes_them(sizes: list[int]) -> None:
    written = f"decimal({', '.join(map(str, sizes))})" if sizes else "decimal"
    assert (column_type_error(written) is None) == duckdb_has(written)


@pytest.mark.parametrize(
    "written", ["integer[]", "varchar[][]", "struct(a integer, b decimal(9, 2))", "map(varchar, date)",
                "enum('a', 'b')", "union(a integer, b varchar)", "integer[3]", "double precision"]
)  # fmt: skip
def test_types_made_of_others(written: str) -> None:
    assert duckdb_has(written)
    assert column_type_error(written) is None


@pytest.mark.parametrize("written", ["struct(a mediumint)", "decimal(50, 2)[]", "map(varchar, object)", "intger"])
def test_a_wrong_type_within_another_is_told(written: str) -> None:
    error = column_type_error(written)
    assert error is not None
    assert (error.rule, error.culprit) == ("unknown-type", written)

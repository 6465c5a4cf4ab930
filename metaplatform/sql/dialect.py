"""The dialect of the book's SQL, and of what the platform composes: DuckDB's, said once, and rendered for an engine."""

import sqlglot
from sqlglot import Dialect, exp
from sqlglot.dialects.dialect import DialectType
from sqlglot.errors import ErrorLevel

from metaplatform.sql.duckdb_functions import CALLED

NAME = "duckdb"
"""As sqlglot and Ibis call it."""
DIALECT = Dialect.get_or_raise(NAME)


def sql_text(tree: exp.Expr, *, comments: bool = True) -> str:
    """Return a syntax tree as text of the book's dialect."""
    return tree.sql(dialect=DIALECT, comments=comments, unsupported_level=ErrorLevel.IGNORE)


def literal(value: str) -> str:
    """Return a text as an SQL literal."""
    return sql_text(exp.Literal.string(value))


def type_of(written: str) -> exp.DataType:
    """Return a type as the book writes it.

    Raises:
        sqlglot.errors.ParseError: if it is not a type.
    """
    return exp.DataType.build(written, dialect=DIALECT)


def cast_to(value: exp.Expr, written: str) -> exp.Cast:
    """Return ``value`` cast to a type as the book writes it."""
    return exp.cast(value, written, dialect=DIALECT)


def call(function: str, *arguments: exp.Expr) -> exp.Expr:
    """Return a call of one of the functions that the platform calls by their bare name.

    Raises:
        KeyError: if it is not among them: what is called stands in one list, for an engine that names it otherwise.
    """
    if function not in CALLED:
        raise KeyError(function)
    return exp.Anonymous(this=function, expressions=list(arguments))


def parsed(text: str) -> exp.Expr:
    """Return any SQL text of the book's dialect as a syntax tree.

    Raises:
        sqlglot.errors.ParseError: if it is not SQL.
    """
    return sqlglot.parse_one(text, dialect=DIALECT)


def for_engine(query: exp.Query, dialect: DialectType) -> str:
    """Return a query as the text that Ibis takes for an engine of this dialect; ``query`` becomes part of it.

    In a query of its own: Ibis forgets RECURSIVE and NOT MATERIALIZED at the very top. All names in quotes: columns may
    have words of SQL as names (`at`, `end`), which the parser tells by their place, and an engine does not.
    """
    whole = exp.select("*").from_(query.subquery(exp.to_identifier("result", quoted=True), copy=False), copy=False)
    return whole.sql(dialect, identify=True)

"""SQL of other dialects than the book's: a query that a database answers itself, checked to be one that only reads."""

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from metaplatform.sql.sql_safety import SqlError

_CHANGES = (exp.DML, exp.DDL, exp.Command, exp.Copy, exp.Drop, exp.Alter, exp.Into, exp.Lock, exp.Set)
_END = "; \t\r\n"


def foreign_query(sql: str, dialect: str) -> exp.Subquery:
    """Return a query of a database as something to select from, to the letter.

    Raises:
        SqlError: if it is not one SELECT.
    """
    try:
        statements = [found for found in sqlglot.parse(sql.rstrip(_END), dialect=dialect) if found is not None]
    except (SqlglotError, RecursionError) as error:
        told = str(error).splitlines()[0] if isinstance(error, SqlglotError) else "it is nested too deeply"
        raise SqlError(f"this is not SQL of {dialect}: {told}", culprit=_short(sql), fix="write a SELECT") from error
    query = statements[0] if len(statements) == 1 else None
    if not isinstance(query, exp.Query):
        raise SqlError("a source reads by one SELECT", culprit=_short(sql), fix="write a SELECT")
    changing = next((node for node in query.walk() if isinstance(node, _CHANGES) and not _is_query(node)), None)
    if changing is not None:
        raise SqlError("a source only reads", culprit=_short(sql), fix="write a SELECT", rule="forbidden-sql")
    # On a line of its own ends a comment that the query may end with.
    return exp.Subquery(this=exp.Var(this=f"{sql.rstrip(_END)}\n"))


def foreign_table(name: str, dialect: str) -> exp.Table:
    """Return a table as a database calls it, with its schema where it is written, quoted where it must be.

    Raises:
        SqlError: if it is not a name.
    """
    try:
        table = exp.to_table(name, dialect=dialect)
    except (SqlglotError, RecursionError):
        table = exp.Table()
    if not table.name or not isinstance(table.this, exp.Identifier) or table.args.get("joins"):
        raise SqlError(f"'{_short(name)}' is not the name of a table", culprit=_short(name), fix=_quoting(dialect))
    return table


def _is_query(node: exp.Expr) -> bool:
    return isinstance(node, exp.Query)


def _quoting(dialect: str) -> str:
    mark = "`" if dialect == "mysql" else '"'
    return f"write it as the database does, with its schema, and names such as {mark}My Table{mark} in quotes"


def _short(sql: str) -> str:
    return " ".join(sql.split())[:80]

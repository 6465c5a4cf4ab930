"""What SQL in the book may not do: reach outside itself, or answer differently each time."""

from collections.abc import Iterator
from typing import TypeGuard

from sqlglot import exp

from metaplatform.chapters import STORED
from metaplatform.sql.dialect import sql_text
from metaplatform.sql.duckdb_functions import AGGREGATES, IMPURE, SCALARS, SYNTAX, TABLES, WINDOWS
from metaplatform.text.nearest import nearest_name

_KNOWN = AGGREGATES | SCALARS | SYNTAX | WINDOWS | TABLES
_IMPURE_NODES = (
    exp.CurrentDate,
    exp.CurrentDatetime,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.Localtime,
    exp.Localtimestamp,
    exp.Rand,
    exp.Randn,
    exp.Uuid,
    exp.TableSample,
)
_STATEMENTS = (
    exp.Alter,
    exp.Command,
    exp.Copy,
    exp.Create,
    exp.DML,
    exp.Describe,
    exp.Drop,
    exp.HistoricalData,
    exp.Into,
    exp.Lock,
    exp.Pragma,
    exp.Set,
    exp.Show,
    exp.Summarize,
    exp.Version,
)
_PARAMETERS = (exp.Parameter, exp.Placeholder, exp.PositionalColumn, exp.SessionParameter)
_QUERIES = (exp.Query, exp.Table, exp.Values, exp.Exists)


class SqlError(ValueError):
    """SQL the book cannot use: ``line`` and ``column`` count from 1 within the SQL text."""

    def __init__(
        self,
        message: str,
        *,
        culprit: str,
        fix: str,
        rule: str = "sql-syntax",
        nearest: str | None = None,
        place: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__(message)
        self.message, self.culprit, self.fix, self.rule = message, culprit, fix, rule
        self.nearest = nearest
        self.line, self.column = place


def check_expression(tree: exp.Expr) -> None:
    """Refuse what an expression may not hold.

    Raises:
        SqlError: at the first fault.
    """
    for node in tree.walk():
        _check_node(node)
        if isinstance(node, _QUERIES) or (isinstance(node, exp.In) and node.args.get("field")):
            raise _fault(node, "an expression reads columns, never tables", "put the subquery into a `tables` entry")
        if isinstance(node, exp.Window) or (is_function(node) and written_name(node) in WINDOWS):
            raise _fault(
                node,
                "a window function sees other rows, of any time",
                "use a `window` block, or an entry of `tables`",
            )
        if isinstance(node, exp.Columns) or (isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count)):
            raise _fault(node, "an expression has one value, and `*` many", "name the columns")


def check_query(tree: exp.Query) -> None:
    """Refuse what a query may not hold, and tables that are not references.

    Raises:
        SqlError: at the first fault.
    """
    for node in tree.walk():
        _check_node(node)
        if isinstance(node, exp.Table):
            _check_table(node)


def _check_node(node: exp.Expr) -> None:
    if isinstance(node, _STATEMENTS):
        raise _fault(node, "the book's SQL only reads", "write a SELECT")
    if isinstance(node, _PARAMETERS):
        raise _fault(node, "parameters have no value here", "write the value, or the column's name")
    if isinstance(node, _IMPURE_NODES):
        raise _impure(node, _text(node).partition("(")[0].split()[0].lower())
    if isinstance(node, exp.DataType) and node.this is exp.DataType.Type.USERDEFINED:
        raise SqlError(
            f"'{node.sql()}' is not a type",
            culprit=node.sql(),
            fix="cast to a type of DuckDB's",
            rule="unknown-type",
            place=_position(node.parent or node),
        )
    if is_function(node):
        _check_function(node)


def is_function(node: exp.Expr) -> TypeGuard[exp.Func]:
    """Tell functions from what the parser files under them: ``and``, ``or``, casts."""
    return isinstance(node, exp.Func) and not isinstance(node, exp.Connector | exp.Cast)


def is_aggregate(node: exp.Expr) -> bool:
    """Tell whether a function makes one value of many rows."""
    return node.name.lower() in AGGREGATES if isinstance(node, exp.Anonymous) else isinstance(node, exp.AggFunc)


def _check_function(node: exp.Func) -> None:
    name = written_name(node)
    if name in _KNOWN:
        return
    if name in IMPURE:
        raise _impure(node, name)
    near = nearest_name(name, _KNOWN)
    raise SqlError(
        f"'{name}' is not a function the book may call",
        culprit=name,
        fix="call one of DuckDB's functions of values; files, settings and the catalogue are out of reach",
        rule="unknown-function",
        nearest=near,
        place=_position(node),
    )


def written_name(node: exp.Expr) -> str:
    """Return the function's name as DuckDB will read it."""
    if isinstance(node, exp.Anonymous):
        return node.name.lower()
    names = [name.lower() for name in type(node).sql_names()] if isinstance(node, exp.Func) else []
    for name in names:
        if name in _KNOWN:
            return name
    head, bracket, _ = _text(node).partition("(")
    # Operators and special forms (``a -> 'b'``, ``[1, 2]``) are written without a name.
    return head.lower() if bracket and head.isidentifier() else "case"


def _check_table(node: exp.Table) -> None:
    if not isinstance(node.this, exp.Identifier):
        if isinstance(node.this, exp.Func) and written_name(node.this) in TABLES:
            return
        raise _fault(node, "a query reads references only", "declare a source and read it as `raw.<name>`")
    if node.catalog or (node.db and node.db not in STORED):
        raise _unknown_table(node, _text(node))
    if not node.db and node.name.lower() not in set(_visible_ctes(node)):
        raise _unknown_table(node, node.name)


def _visible_ctes(node: exp.Expr) -> Iterator[str]:
    ancestor = node.parent
    while ancestor is not None:
        clause = ancestor.args.get("with_")
        if clause is not None:
            yield from (cte.alias.lower() for cte in clause.expressions)
        ancestor = ancestor.parent


def _unknown_table(node: exp.Table, written: str) -> SqlError:
    return SqlError(
        f"'{written}' is not a reference",
        culprit=written,
        fix="read `raw.<source>`, `tables.<table>`, `features.<feature set>`, `predictions.<prediction>`, "
        "`outputs.<report>` or a CTE of this query",
        rule="unknown-reference",
        place=_position(node),
    )


def _impure(node: exp.Expr, name: str) -> SqlError:
    return SqlError(
        f"'{name}' gives a different answer each time",
        culprit=name,
        fix="use columns of the data: what a moment knows comes from event timestamps",
        rule="impure-function",
        place=_position(node),
    )


def _fault(node: exp.Expr, message: str, fix: str) -> SqlError:
    return SqlError(message, culprit=_text(node)[:80], fix=fix, rule="forbidden-sql", place=_position(node))


def _text(node: exp.Expr) -> str:
    return sql_text(node, comments=False)


def _position(node: exp.Expr) -> tuple[int, int]:
    """Return the line and column of the first name in ``node`` that the parser kept a place of."""
    return position_of(next((part for part in node.walk(bfs=False) if "line" in part.meta), node))


def position_of(part: exp.Expr) -> tuple[int, int]:
    """Return the line and column of a name, from 1, within its SQL text."""
    meta = part.meta
    length = int(meta.get("end", 0)) - int(meta.get("start", 0)) + 1
    return int(meta.get("line", 1)), max(1, int(meta.get("col", 1)) - length + 1)

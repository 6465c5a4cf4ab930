"""One form for every SQL text that means the same: what is compared and hashed of the book.

Only what DuckDB itself ignores is taken away: comments, spacing, letter case of keywords and of names that are
looked up, quotes, redundant parentheses, the words ``inner``, ``outer`` and ``asc``, and the order of terms joined by
``and`` or by ``or``. The case of names that are given stays, for DuckDB keeps it.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

from sqlglot import exp
from sqlglot.errors import ErrorLevel

from metaplatform.sql.dialect import DIALECT

_OPERATIONS = (exp.Binary, exp.Unary, exp.Between, exp.In, exp.Is)
_CERTAIN = frozenset(
    {exp.Column, exp.Identifier, exp.Literal, exp.Add, exp.Sub, exp.Mul, exp.And, exp.Or, exp.EQ, exp.NEQ, exp.GT}
    | {exp.GTE, exp.LT, exp.LTE, exp.Avg, exp.Sum, exp.Min, exp.Max}
)
"""What, in parentheses throughout, is read as it was written: most expressions, which need not be read again."""
_NOT_OPERATIONS = (exp.Dot, exp.PropertyEQ, exp.Kwarg, exp.Paren)


def canonical_text(tree: exp.Expr, read: Callable[[str], exp.Expr]) -> str | None:
    """Return the canonical text of a parsed expression or query; None where none is certain to mean the same.

    ``read`` parses the text again: what is read must be what was written.
    """
    plain = _plain(tree.copy())
    certain = all(type(node) in _CERTAIN for node in plain.walk())
    # A copy costs as much as parsing does.
    text = _text(_bracketed(plain if certain else plain.copy()))
    return text if certain or _plain(read(text).copy()) == plain else None


def _text(tree: exp.Expr) -> str:
    return tree.sql(dialect=DIALECT, comments=False, identify=True, unsupported_level=ErrorLevel.IGNORE)


def _plain(tree: exp.Expr) -> exp.Expr:
    """Return the tree, changed in place, without what makes no difference."""
    tree = _without_parentheses(tree)
    named = list(_named_by_their_text(tree))
    shown = {id(node) for projection in named for node in projection.walk()}
    untouched = {
        id(node) for projection in named if not isinstance(projection, exp.Column) for node in projection.walk()
    }
    for node in list(tree.walk()):
        node.comments = None
        if isinstance(node, exp.Identifier):
            node.set("quoted", True)
        if isinstance(node, exp.Column) and id(node) not in untouched:
            # A column that is selected as it is may be a struct's field, which names the result.
            _fold_column(
                node, parts=("table", "db", "catalog") if id(node) in shown else ("this", "table", "db", "catalog")
            )
        elif isinstance(node, exp.Join):
            _drop_words(node)
        elif isinstance(node, exp.Ordered) and not node.args.get("desc"):
            node.set("desc", None)
        elif _is_alias(node):
            node.set("this", _folded(cast("exp.Identifier", node.this)))
    return _sorted_terms(tree, shown)


def _without_parentheses(tree: exp.Expr) -> exp.Expr:
    for node in list(tree.find_all(exp.Paren)):
        inner = node.this
        if isinstance(inner, exp.Condition) and not node.args.get("comments"):
            if node is tree:
                tree = inner
            node.replace(inner)
            if inner is tree:
                inner.parent = None
    return tree


def _named_by_their_text(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the projections that DuckDB names by their text: a change of theirs would rename a column."""
    for select in tree.find_all(exp.Select):
        for projection in select.expressions:
            if not isinstance(projection, exp.Alias | exp.Star) and not (
                isinstance(projection, exp.Column) and not projection.args.get("table")
            ):
                yield projection


def _is_alias(node: exp.Expr) -> bool:
    """Tell whether a name is one that the query itself gives; the names of the book's tables are the book's."""
    named = isinstance(node, exp.TableAlias | exp.Table) and isinstance(node.this, exp.Identifier)
    return named and not node.args.get("db")


def _fold_column(column: exp.Column, *, parts: tuple[str, ...]) -> None:
    for part in parts:
        name = column.args.get(part)
        if isinstance(name, exp.Identifier):
            column.set(part, _folded(name))


def _folded(name: exp.Identifier) -> exp.Identifier:
    return exp.to_identifier(name.name.lower(), quoted=True)


def _drop_words(join: exp.Join) -> None:
    if join.args.get("kind") == "INNER" or (join.args.get("kind") == "OUTER" and join.args.get("side")):
        join.set("kind", None)


def _sorted_terms(tree: exp.Expr, shown: set[int]) -> exp.Expr:
    """Return the tree with the terms of each ``and`` and each ``or`` in the order of their texts, inner ones first."""
    connectors = [node for node in tree.walk() if isinstance(node, exp.And | exp.Or) and id(node) not in shown]
    for node in reversed(connectors):
        if type(node.parent) is type(node):
            continue
        terms = sorted(_terms(node), key=_text)
        joined = terms[0]
        for term in terms[1:]:
            joined = type(node)(this=joined, expression=term)
        if node is tree:
            tree = joined
        else:
            node.replace(joined)
    return tree


def _terms(node: exp.Connector) -> list[exp.Expr]:
    """Return what a chain of one connector joins, in order; a chain may be thousands long."""
    found: list[exp.Expr] = []
    pending: list[exp.Expr] = [node]
    while pending:
        current = pending.pop()
        if type(current) is type(node):
            pending.extend((cast("exp.Expr", current.args["expression"]), cast("exp.Expr", current.this)))
        else:
            current.pop()
            found.append(current)
    return found


def _bracketed(tree: exp.Expr) -> exp.Expr:
    """Return the tree with each operation that is an operand in parentheses: no precedence is left to know."""
    for node in list(tree.walk()):
        if not _is_operation(node):
            continue
        for child in list(_children(node)):
            chained = isinstance(node, exp.And | exp.Or) and type(child) is type(node) and child is node.this
            if _is_operation(child) and not chained:
                bracket = exp.Paren()
                child.replace(bracket)
                bracket.set("this", child)
    return tree


def _is_operation(node: Any) -> bool:
    # To sqlglot a connector is a function as well; the others of both kinds are written with commas.
    return isinstance(node, exp.Connector) or (
        isinstance(node, _OPERATIONS) and not isinstance(node, (*_NOT_OPERATIONS, exp.Func))
    )


def _children(node: exp.Expr) -> Iterator[exp.Expr]:
    for value in node.args.values():
        if isinstance(value, exp.Expr):
            yield value
        elif isinstance(value, list):
            yield from (each for each in value if isinstance(each, exp.Expr))

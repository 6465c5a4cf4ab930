"""Columns as values: their names in order, the kinds of what they hold, and what becomes of them when rows are united.

Names are compared without case, as DuckDB does.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlglot import exp

from metaplatform.naming import PARTITION
from metaplatform.sql.value_kinds import Kind


class Column(NamedTuple):
    """A column's name, and the kind of its values."""

    name: str
    kind: Kind = None


Columns = tuple[Column, ...] | None
"""Columns in order, or None where they are unknown."""
Kinds = Mapping[str, Kind] | None
"""Kind by column, lower case; None where the columns are unknown."""
HIDDEN = frozenset({PARTITION})
"""Columns that may be read of a stored table, but are not among those that ``*`` gives."""


def kinds_of(columns: Columns) -> Kinds:
    """Return the kinds of columns by name; of a name that several columns have, only a kind that they share."""
    if columns is None:
        return None
    kinds: dict[str, Kind] = {}
    for name, kind in columns:
        kinds[name.lower()] = kind if kinds.get(name.lower(), kind) == kind else None
    return kinds


def folded(columns: Columns) -> frozenset[str]:
    """Return the names of columns, lower case."""
    return frozenset(column.name.lower() for column in columns or ())


def readable_names(columns: Columns) -> frozenset[str]:
    """Return what may stand behind the name of a relation with these columns."""
    return folded(columns) | HIDDEN


def kind_of_hidden(name: str) -> Kind:
    """Return the kind of a column that is not among those of a table, if it is a hidden one."""
    return "text" if name in HIDDEN else None


def together(left: Columns, right: Columns) -> Columns:
    """Return the columns of both, as far as those of both are known."""
    return None if left is None or right is None else (*left, *right)


def united_by_place(left: Columns, right: Columns) -> Columns:
    """Return what a set operation gives: the first one's names, and kinds that both agree on."""
    if left is None or right is None or len(left) != len(right):
        return left if left is None else tuple(Column(name) for name, _ in left)
    return tuple(
        Column(name, kind if kind == other else None) for (name, kind), (_, other) in zip(left, right, strict=True)
    )


def united_by_name(left: Columns, right: Columns) -> Columns:
    """Return what ``union by name`` gives: the columns of both, kinds that both agree on."""
    both = together(left, right)
    kinds = kinds_of(both) or {}
    first = {name.lower(): name for name, _ in reversed(both or ())}
    return None if both is None else tuple(Column(first[folded], kind) for folded, kind in kinds.items())


def renamed_by(columns: Columns, alias: exp.Expr | None) -> Columns:
    """Return the columns under the names that a table alias gives the first of them (``as t(a, b)``)."""
    given = [name.name for name in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []
    if not given or columns is None:
        return columns
    names = (*given, *(column.name for column in columns[len(given) :]))
    return tuple(Column(name, columns[at].kind if at < len(columns) else None) for at, name in enumerate(names))

"""How SQL of the book enters ibis: parsed, composed as a tree of named steps, and given to the backend once.

User text is never pasted into other text: it is parsed, its columns are resolved against the table at hand,
and the tree becomes one SELECT with a CTE per step. No view or other object is left on the connection.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.sql.dialect import NAME, for_engine, parsed
from metaplatform.sql.expressions import column_uses, parse_expression
from metaplatform.text.nearest import nearest_name

ROW = "_row"
"""Alias of the one table that a step's expressions read."""


def identifier(name: str) -> exp.Identifier:
    """Return a quoted identifier."""
    return exp.to_identifier(name, quoted=True)


def column(name: str, table: str | None = None) -> exp.Column:
    """Return a reference to a column, quoted, of ``table`` if given."""
    return exp.Column(this=identifier(name), table=identifier(table) if table else None)


def all_columns(table: str) -> exp.Column:
    """Return ``table.*``."""
    return exp.Column(this=exp.Star(), table=identifier(table))


def source(name: str, alias: str = ROW) -> exp.Table:
    """Return a step's name for FROM or JOIN, under ``alias``."""
    return exp.Table(this=identifier(name), alias=exp.TableAlias(this=identifier(alias)))


def named(expression: exp.Expr, name: str) -> exp.Expr:
    """Return ``expression AS name``, quoted."""
    return exp.Alias(this=expression, alias=identifier(name))


def text(value: str) -> exp.Literal:
    """Return a string literal."""
    return exp.Literal.string(value)


def fresh(name: str, taken: Iterable[str]) -> str:
    """Return ``name``, with underscores before it until no name in ``taken`` equals it, letter case aside."""
    used = {other.lower() for other in taken}
    while name.lower() in used:
        name = f"_{name}"
    return name


def fresh_stem(stem: str, taken: Iterable[str]) -> str:
    """Return ``stem``, with underscores before it until no name in ``taken`` begins with it, letter case aside."""
    used = [name.lower() for name in taken]
    while any(name.startswith(stem.lower()) for name in used):
        stem = f"_{stem}"
    return stem


@dataclass(frozen=True)
class Scope:
    """The columns that expressions may read: the name they use (without case) → the column behind it.

    ``owner`` is the entity that errors name; ``taken`` are all columns of the step, hidden ones too.
    """

    owner: str
    columns: Mapping[str, str]
    taken: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str], owner: str, *, hidden: Iterable[str] = ()) -> "Scope":
        """Return the scope in which each name is the column's own."""
        columns = {name.lower(): name for name in names}
        return cls(owner, columns, frozenset((*columns.values(), *hidden)))

    def find(self, name: str) -> str:
        """Return the column behind ``name``.

        Raises:
            DataError: if there is none.
        """
        if name.lower() in self.columns:
            return self.columns[name.lower()]
        near = nearest_name(name, self.columns)
        hint = f" such as '{near}'" if near else ""
        raise DataError(owner=self.owner, culprit=f"there is no column '{name}'", fix=f"use a column that exists{hint}")

    def parse(self, sql: str) -> exp.Expr:
        """Return a parsed expression whose columns are those behind the names, quoted.

        Raises:
            DataError: if it reads a column that is not in scope.
            ValueError: if it is not an expression.
        """
        tree: exp.Expr = parse_expression(sql)
        for part in column_uses(tree):
            part.replace(identifier(self.find(part.name)))
        return tree

    def adding(self, names: Mapping[str, str]) -> "Scope":
        """Return this scope with names added; a name that was there means the new column from now on."""
        columns = {**self.columns, **{name.lower(): behind for name, behind in names.items()}}
        return Scope(self.owner, columns, self.taken.union(names.values()))


@dataclass
class Steps:
    """A SELECT in the making: named steps in order, each a CTE that reads those before it.

    Steps are inlined, so that what is needed of a table is pushed down to its files; those in ``kept`` are
    computed once, for readers that would otherwise double the work with each of them.
    """

    owner: str
    tables: Mapping[str, ibis.Table]
    queries: dict[str, exp.Query] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)

    def add(self, name: str, query: exp.Query) -> str:
        """Add a step and return the name it got."""
        taken = [*self.tables, *self.queries]
        name = next(free for free in (name, *(f"{name}_{n}" for n in range(2, 10_000))) if free not in taken)
        self.queries[name] = query
        return name

    def finish(self, query: exp.Select) -> ibis.Table:
        """Return the whole as one ibis table, of the backend that the tables are bound to.

        Raises:
            DataError: if the engine refuses it (a type that does not fit an operator, for example).
        """
        used = {name: compiled(table) for name, table in self.tables.items()}
        for name, step in (*used.items(), *self.queries.items()):
            query = query.with_(identifier(name), as_=step, materialized=name in self.kept, copy=False)
        backend: Any = next(iter(self.tables.values())).get_backend()
        try:
            return backend.sql(for_engine(query, backend.dialect))
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise DataError(
                owner=self.owner, culprit=reason, fix="correct the expression, or the column's type"
            ) from error


def compiled(table: ibis.Table) -> exp.Query:
    """Return the SELECT that ibis makes of a table."""
    query = parsed(str(ibis.to_sql(table, dialect=NAME)))
    if not isinstance(query, exp.Query):
        raise TypeError(query)
    return query


def project(
    steps: Steps, name: str, *, scope: Scope, current: str, columns: Mapping[str, str | exp.Expr]
) -> tuple[str, Scope]:
    """Add columns to step ``current``, each an expression that may read those before it in ``columns``.

    Columns that do not read one another share one step. Returns the last step and the scope after it.
    """
    pending: dict[str, tuple[str, exp.Expr]] = {}
    for feature, sql in columns.items():
        tree = parse_expression(sql) if isinstance(sql, str) else sql.copy()
        if any(part.name.lower() in pending for part in column_uses(tree)):
            current, scope = _flush(steps, name, scope, current, pending)
            pending = {}
        behind = fresh(feature, (*scope.taken, *(taken for taken, _ in pending.values())))
        resolved = scope.parse(sql) if isinstance(sql, str) else tree
        pending[feature.lower()] = (behind, resolved)
    return _flush(steps, name, scope, current, pending)


def _flush(
    steps: Steps, name: str, scope: Scope, current: str, pending: Mapping[str, tuple[str, exp.Expr]]
) -> tuple[str, Scope]:
    if not pending:
        return current, scope
    selected = [all_columns(ROW), *(named(tree, behind) for behind, tree in pending.values())]
    current = steps.add(name, exp.select(*selected).from_(source(current)))
    return current, scope.adding({feature: behind for feature, (behind, _) in pending.items()})


def with_columns(table: ibis.Table, columns: Mapping[str, str], *, owner: str = "expression") -> ibis.Table:
    """Return the table with columns added, each an SQL expression; a later one may read an earlier one.

    A column that exists is replaced, from then on. Names are compared without case.

    Raises:
        DataError: if an expression reads a column that is not there, or does not fit the types.
        ValueError: if a text is not an SQL expression.
    """
    steps = Steps(owner, {"source": table})
    start = Scope.of(table.columns, owner)
    current, scope = project(steps, "columns", scope=start, current="source", columns=columns)
    names = {**start.columns, **{name.lower(): name for name in columns}}
    selected = [named(column(scope.find(name)), name) for name in names.values()]
    return steps.finish(exp.select(*selected).from_(source(current)))


def where(table: ibis.Table, condition: str, *, owner: str = "expression") -> ibis.Table:
    """Return the rows for which the SQL condition is true (neither false nor null).

    Raises:
        DataError, ValueError: as ``with_columns``.
    """
    tree = Scope.of(table.columns, owner).parse(condition)
    return Steps(owner, {"source": table}).finish(exp.select("*").from_(source("source")).where(tree))


def aggregates(
    table: ibis.Table, columns: Mapping[str, str], *, by: Sequence[str] = (), owner: str = "expression"
) -> ibis.Table:
    """Return SQL aggregates over the table, a row for each combination of ``by`` (one row, if empty).

    Raises:
        DataError, ValueError: as ``with_columns``.
    """
    scope = Scope.of(table.columns, owner)
    keys = [column(scope.find(name)) for name in by]
    values = [named(scope.parse(sql), name) for name, sql in columns.items()]
    query = exp.select(*keys, *values).from_(source("source"))
    return Steps(owner, {"source": table}).finish(query.group_by(*keys) if keys else query)

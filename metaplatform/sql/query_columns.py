"""The columns of a SELECT: what it gives and of which kinds, what it reads that is not there or is of a wrong kind.

Names resolve as in DuckDB: without case, through CTEs, joins, correlated subqueries and aliases of the
same SELECT. A relation whose columns are unknown makes names unjudged, never wrong; where a name could mean several
things, its kind is unknown.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from sqlglot import exp

from metaplatform.sql.columns import (
    HIDDEN,
    Column,
    Columns,
    Kinds,
    folded,
    kind_of_hidden,
    kinds_of,
    readable_names,
    renamed_by,
    together,
    united_by_name,
    united_by_place,
)
from metaplatform.sql.dialect import sql_text
from metaplatform.sql.sql_safety import position_of
from metaplatform.sql.value_kinds import MOST_FAULTS, Kind, KindFault, expression_kind
from metaplatform.text.nearest import nearest_name

_MAX_COLUMNS = 10_000
"""Of more columns than that, nothing is known: stars over stars double them at each step."""


@dataclass(frozen=True)
class ColumnFault:
    """A name in a query that is wrong: ``rule``, and its line and column within the SQL text."""

    rule: str
    name: str
    place: tuple[int, int]
    nearest: str | None = None


_Fault = TypeVar("_Fault", ColumnFault, KindFault)


@dataclass(frozen=True)
class QueryColumns:
    """What a query gives (None: unknown), its faults in order of appearance, and its conditions with their kinds."""

    output: Columns
    faults: tuple[ColumnFault, ...] = ()
    wrong_kinds: tuple[KindFault, ...] = ()
    conditions: tuple[tuple[exp.Expr, Kind], ...] = ()


def query_columns(query: exp.Query, columns: Callable[[str], Columns]) -> QueryColumns:
    """Return the columns of ``query``; ``columns`` tells those of a reference (``raw.flights``)."""
    reader = _Reader(columns)
    output = reader.query(query, {}, None)
    reader.faults.extend(_output_faults(query))
    if output is not None:
        output = tuple(column for column in output if column.name.lower() not in HIDDEN)
    return QueryColumns(output, _in_order(reader.faults), _in_order(reader.wrong_kinds), tuple(reader.conditions))


def _in_order(faults: list[_Fault]) -> tuple[_Fault, ...]:
    return tuple(sorted(dict.fromkeys(faults), key=lambda fault: fault.place)[:MOST_FAULTS])


def bound_names(node: exp.Expr) -> dict[str, bool]:
    """Return the names that lambdas and list comprehensions bind within a query, and whether it is one of the latter.

    They are not columns. Those of comprehensions are parsed as if they were.
    """
    bound: dict[str, bool] = {}
    for found in node.find_all(exp.Lambda, exp.Comprehension):
        of_list = isinstance(found, exp.Comprehension)
        for name in [found.args.get("expression")] if of_list else found.expressions:
            if isinstance(name, exp.Expr):
                bound[name.name.lower()] = of_list or bound.get(name.name.lower(), False)
    return bound


@dataclass
class _Scope:
    """What names mean within one SELECT: its relations by alias, its own aliases, and the scope around it."""

    outer: "_Scope | None"
    relations: dict[str, Columns] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)

    def holders(self, name: str) -> int:
        return sum(name in folded(columns) for columns in self.relations.values())

    def knows(self, name: str) -> bool:
        if any(columns is None for columns in self.relations.values()):
            return True
        if name in HIDDEN or name in self.aliases or name in self.relations or self.holders(name):
            return True
        return self.outer is not None and self.outer.knows(name)

    def find(self, alias: str) -> "_Scope | None":
        if alias in self.relations:
            return self
        return self.outer.find(alias) if self.outer else None

    def owner(self, alias: str, name: str) -> "_Scope | None":
        """Return the scope whose relation a name is of: an outer one, where the nearest of this alias lacks it."""
        nearest = found = self.find(alias)
        while (
            found is not None
            and found.relations[alias] is not None
            and name not in readable_names(found.relations[alias])
        ):
            found = found.outer.find(alias) if found.outer else None
        return found or nearest

    def names(self) -> list[str]:
        own = [column.name for columns in self.relations.values() for column in columns or ()]
        return own + (self.outer.names() if self.outer else [])

    @cached_property
    def _kinds(self) -> dict[str, Kinds]:
        """Return the kinds of the columns of each relation; to be asked once all relations are there."""
        return {alias: kinds_of(columns) for alias, columns in self.relations.items()}

    def kind(self, column: exp.Column) -> Kind:
        """Return the kind of a column of this SELECT's own relations."""
        name = column.name.lower()
        if column.table:
            known = self._kinds.get(column.table.lower()) if not column.args.get("db") else None
            return (known or {}).get(name, kind_of_hidden(name))
        found = [known[name] for known in self._kinds.values() if known is not None and name in known]
        all_known = None not in self._kinds.values()
        if not found and all_known:
            return kind_of_hidden(name)
        return found[0] if len(set(found)) == 1 and (len(found) > 1 or all_known) else None


@dataclass
class _Reader:
    """Reads queries inside out, collecting faults."""

    columns: Callable[[str], Columns]
    faults: list[ColumnFault] = field(default_factory=list)
    wrong_kinds: list[KindFault] = field(default_factory=list)
    conditions: list[tuple[exp.Expr, Kind]] = field(default_factory=list)

    def query(self, node: exp.Expr, ctes: Mapping[str, Columns], outer: _Scope | None) -> Columns:
        """Return what a query gives."""
        ctes = self._with(node, ctes, outer)
        if isinstance(node, exp.Subquery):
            return self.query(node.this, ctes, outer)
        if isinstance(node, exp.SetOperation):
            left, right = self.query(node.left, ctes, outer), self.query(node.right, ctes, outer)
            return united_by_name(left, right) if node.args.get("by_name") else united_by_place(left, right)
        return self._select(node, ctes, outer) if isinstance(node, exp.Select) else None

    def _with(self, node: exp.Expr, ctes: Mapping[str, Columns], outer: _Scope | None) -> Mapping[str, Columns]:
        clause = node.args.get("with_")
        if clause is None:
            return ctes
        known = dict(ctes)
        for cte in clause.expressions:
            name = cte.alias.lower()
            if clause.args.get("recursive"):
                known[name] = None
            given = self.query(cte.this, known, outer)
            known[name] = renamed_by(given, cte.args.get("alias"))
        return known

    def _select(self, node: exp.Select, ctes: Mapping[str, Columns], outer: _Scope | None) -> Columns:
        scope = _Scope(outer)
        start = node.args.get("from_")
        if start is not None:
            self._relation(start.this, ctes, scope)
        for join in node.args.get("joins") or ():
            self._join(join, ctes, scope)
        for lateral in node.args.get("laterals") or ():
            scope.relations[lateral.alias.lower()] = None
        scope.aliases = {projection.alias.lower() for projection in node.expressions if projection.alias}
        bound = bound_names(node)
        given = self._kinds(node, bound, scope)
        scope.aliases |= {name for name, of_list in bound.items() if of_list}
        for part in _own_parts(node):
            if isinstance(part, exp.Query):
                self.query(part, ctes, scope)
            elif isinstance(part, exp.Column) and not isinstance(part.this, exp.Star):
                self._check(part, scope)
        return given

    def _kinds(self, node: exp.Select, bound: Collection[str], scope: _Scope) -> Columns:
        """Return what a SELECT gives, and keep what its expressions do with values of the wrong kind."""

        def kind_of(tree: exp.Expr, hidden: Collection[str]) -> Kind:
            found = expression_kind(tree, lambda column: None if column.name.lower() in hidden else scope.kind(column))
            self.wrong_kinds.extend(found.faults)
            return found.kind

        kinds = [kind_of(projection, bound) for projection in node.expressions]
        for part, is_condition in _clauses(node):
            kind = kind_of(part, {*bound, *scope.aliases})
            if is_condition:
                self.conditions.append((part, kind))
        return self._output(node, kinds, scope)

    def _join(self, join: exp.Join, ctes: Mapping[str, Columns], scope: _Scope) -> None:
        before = dict(scope.relations)
        self._relation(join.this, ctes, scope)
        # A relation with a name that was there already has become one with the other.
        joined = {alias: known for alias, known in scope.relations.items() if before.get(alias, 0) != known}
        for name in join.args.get("using") or ():
            scope.merged.add(name.name.lower())
            lacking = next((side for side in (before, joined) if not _may_hold(side, name.name.lower())), None)
            if lacking is not None:
                self._unknown(name, name.name, [known.name for columns in lacking.values() for known in columns or ()])
        if join.method == "NATURAL":
            scope.merged |= {name for columns in before.values() for name in folded(columns)}

    def _relation(self, node: exp.Expr, ctes: Mapping[str, Columns], scope: _Scope) -> None:
        """Add what stands in FROM or JOIN to the scope."""
        alias = node.alias_or_name.lower() or f"#{len(scope.relations)}"
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            self._relation(node.this, ctes, scope)
            return
        if node.args.get("pivots"):
            given: Columns = None
        elif isinstance(node, exp.Table):
            plain = isinstance(node.this, exp.Identifier)
            known = self.columns(f"{node.db}.{node.name}") if node.db else ctes.get(node.name.lower())
            given = renamed_by(known if plain else None, node.args.get("alias"))
        elif isinstance(node, exp.Subquery):
            given = renamed_by(self.query(node, ctes, scope), node.args.get("alias"))
        else:
            given = None
        if alias in scope.relations:
            # DuckDB lets several relations have one name, as long as no column of theirs is in more than one.
            given = together(scope.relations[alias], given)
        scope.relations[alias] = given
        for join in node.args.get("joins") or ():
            self._join(join, ctes, scope)

    def _check(self, column: exp.Column, scope: _Scope) -> None:
        parts = [part for part in column.parts if isinstance(part, exp.Identifier)]
        first = parts[0].name.lower()
        owner = scope.owner(first, parts[1].name.lower()) if len(parts) > 1 else None
        if owner is not None:
            known = owner.relations[first]
            if known is not None and parts[1].name.lower() not in readable_names(known):
                self._unknown(parts[1], f"{parts[0].name}.{parts[1].name}", [each.name for each in known])
        elif len(parts) > 2 and scope.find(parts[1].name.lower()):  # noqa: PLR2004 — schema, table, column
            self._check(exp.Column(this=parts[2].copy(), table=parts[1].copy()), scope)
        elif not scope.knows(first):
            self._unknown(parts[0], parts[0].name, [*scope.names(), *(scope.relations if len(parts) > 1 else ())])
        elif len(parts) == 1 and scope.holders(first) > 1 and first not in scope.merged | scope.aliases:
            self.faults.append(ColumnFault("ambiguous-column", parts[0].name, position_of(parts[0])))

    def _unknown(self, part: exp.Expr, name: str, known: list[str]) -> None:
        near = nearest_name(name.rsplit(".", 1)[-1], known)
        self.faults.append(ColumnFault("unknown-column", name, position_of(part), near))

    def _output(self, node: exp.Select, kinds: list[Kind], scope: _Scope) -> Columns:
        given: list[Column] = []
        for projection, kind in zip(node.expressions, kinds, strict=True):
            star = projection.this if isinstance(projection, exp.Column) else projection
            if isinstance(star, exp.Star):
                found = self._star(star, scope, projection.table.lower() if star is not projection else "")
                if found is None:
                    return None
                given.extend(found)
            elif projection.find(exp.Columns, exp.Unnest):
                return None
            else:
                given.append(Column(projection.alias_or_name, kind))
        return tuple(given)

    def _star(self, star: exp.Star, scope: _Scope, alias: str) -> Columns:
        chosen = [columns for name, columns in scope.relations.items() if alias in {"", name}]
        if not chosen or any(columns is None for columns in chosen) or sum(map(_width, chosen)) > _MAX_COLUMNS:
            return None
        dropped = {name.name.lower() for name in star.args.get("except_") or ()}
        renamed = {pair.this.name.lower(): pair.alias for pair in star.args.get("rename") or ()}
        replaced = {pair.alias.lower() for pair in star.args.get("replace") or ()}
        given: dict[str, Column] = {}
        for name, kind in (column for columns in chosen for column in columns or ()):
            folded = name.lower()
            key = folded if folded in scope.merged else f"{len(given)} {name}"
            known = given.setdefault(key, Column(name, None if folded in replaced else kind))
            given[key] = known if known.kind == kind else Column(known.name)
        kept = (column for column in given.values() if column.name.lower() not in dropped)
        return tuple(Column(renamed.get(name.lower(), name), kind) for name, kind in kept)


def _width(columns: Columns) -> int:
    return len(columns or ())


def _own_parts(node: exp.Select) -> Iterator[exp.Expr]:
    """Yield the columns and the nested queries of a SELECT, without its relations and CTEs."""
    for key, value in node.args.items():
        if key in {"with_", "from_", "laterals"}:
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, exp.Join):
                yield from _columns_and_queries(part.args.get("on"))
            elif isinstance(part, exp.Expr):
                yield from _columns_and_queries(part)


def _columns_and_queries(node: exp.Expr | None) -> Iterator[exp.Expr]:
    if node is None:
        return
    for part in node.walk(bfs=False, prune=lambda found: isinstance(found, exp.Query)):
        if isinstance(part, exp.Query | exp.Column):
            yield part


def _clauses(node: exp.Select) -> Iterator[tuple[exp.Expr, bool]]:
    """Yield the expressions of a SELECT beside its projections, and whether each is a condition."""
    for key in ("where", "having", "qualify"):
        clause = node.args.get(key)
        if clause is not None:
            yield clause.this, True
    joins = (join.args.get("on") for join in node.args.get("joins") or ())
    yield from ((condition, True) for condition in joins if condition is not None)
    for key in ("group", "order"):
        clause = node.args.get(key)
        yield from ((part, False) for part in (clause.expressions if clause is not None else ()))


def _may_hold(relations: Mapping[str, Columns], name: str) -> bool:
    return any(columns is None or name in folded(columns) for columns in relations.values())


def _output_faults(query: exp.Query) -> Iterator[ColumnFault]:
    """Yield what is wrong with the names of the columns a query gives."""
    seen: set[str] = set()
    for projection in query.selects:
        if projection.is_star or projection.find(exp.Columns, exp.Unnest):
            continue
        name = projection.alias_or_name if isinstance(projection, exp.Alias | exp.Column | exp.Dot) else ""
        part = next((part for part in projection.walk() if "line" in part.meta), projection)
        if not name:
            yield ColumnFault("unnamed-column", sql_text(projection)[:80], position_of(part))
        elif name.lower() in seen:
            yield ColumnFault("name-clash", name, position_of(part))
        seen.add(name.lower())

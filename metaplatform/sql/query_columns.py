"""The columns of a SELECT: what it gives, and what it reads that is not there.

Names resolve as in DuckDB: without case, through CTEs, joins, correlated subqueries and aliases of the
same SELECT. A relation whose columns are unknown makes names unjudged, never wrong.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from metaplatform.naming import PARTITION
from metaplatform.sql.dialect import sql_text
from metaplatform.sql.sql_safety import position_of
from metaplatform.text.nearest import nearest_name

Columns = tuple[str, ...] | None
"""Column names in order, or None where they are unknown."""
MOST_FAULTS = 50
"""So many faults of one SQL text are told."""
_MAX_COLUMNS = 10_000
"""Of more columns than that, nothing is known: stars over stars double them at each step."""
HIDDEN = frozenset({PARTITION})
"""Columns that may be read of a stored table, but are not among those that ``*`` gives."""


@dataclass(frozen=True)
class ColumnFault:
    """A name in a query that is wrong: ``rule``, and its line and column within the SQL text."""

    rule: str
    name: str
    place: tuple[int, int]
    nearest: str | None = None


@dataclass(frozen=True)
class QueryColumns:
    """What a query gives (None: unknown), and its faults in order of appearance."""

    output: Columns
    faults: tuple[ColumnFault, ...]


def query_columns(query: exp.Query, columns: Callable[[str], Columns]) -> QueryColumns:
    """Return the columns of ``query``; ``columns`` tells those of a reference (``raw.flights``)."""
    faults: list[ColumnFault] = []
    reader = _Reader(columns, faults)
    output = reader.query(query, {}, None)
    faults.extend(_output_faults(query))
    if output is not None:
        output = tuple(name for name in output if name.lower() not in HIDDEN)
    return QueryColumns(output, tuple(sorted(dict.fromkeys(faults), key=lambda fault: fault.place)[:MOST_FAULTS]))


@dataclass
class _Scope:
    """What names mean within one SELECT: its relations by alias, its own aliases, and the scope around it."""

    outer: "_Scope | None"
    relations: dict[str, Columns] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)

    def holders(self, name: str) -> int:
        return sum(name in _folded(columns) for columns in self.relations.values())

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

    def names(self) -> list[str]:
        own = [name for columns in self.relations.values() for name in columns or ()]
        return own + (self.outer.names() if self.outer else [])


@dataclass
class _Reader:
    """Reads queries inside out, collecting faults."""

    columns: Callable[[str], Columns]
    faults: list[ColumnFault]

    def query(self, node: exp.Expr, ctes: Mapping[str, Columns], outer: _Scope | None) -> Columns:
        """Return what a query gives."""
        ctes = self._with(node, ctes, outer)
        if isinstance(node, exp.Subquery):
            return self.query(node.this, ctes, outer)
        if isinstance(node, exp.SetOperation):
            left, right = self.query(node.left, ctes, outer), self.query(node.right, ctes, outer)
            if not node.args.get("by_name") or left is None or right is None:
                return left if not node.args.get("by_name") else None
            return (*left, *(name for name in right if name.lower() not in _folded(left)))
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
            known[name] = _renamed(given, cte.args.get("alias"))
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
        scope.aliases |= {name.name.lower() for found in node.find_all(exp.Comprehension) for name in _bound(found)}
        for part in _own_parts(node):
            if isinstance(part, exp.Query):
                self.query(part, ctes, scope)
            elif isinstance(part, exp.Column) and not isinstance(part.this, exp.Star):
                self._check(part, scope)
        return self._output(node, scope)

    def _join(self, join: exp.Join, ctes: Mapping[str, Columns], scope: _Scope) -> None:
        before = dict(scope.relations)
        self._relation(join.this, ctes, scope)
        joined = {alias: columns for alias, columns in scope.relations.items() if alias not in before}
        for name in join.args.get("using") or ():
            scope.merged.add(name.name.lower())
            lacking = next((side for side in (before, joined) if not _may_hold(side, name.name.lower())), None)
            if lacking is not None:
                self._unknown(name, name.name, [known for columns in lacking.values() for known in columns or ()])
        if join.method == "NATURAL":
            scope.merged |= {name for columns in before.values() for name in _folded(columns)}

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
            given = _renamed(known if plain else None, node.args.get("alias"))
        elif isinstance(node, exp.Subquery):
            given = _renamed(self.query(node, ctes, scope), node.args.get("alias"))
        else:
            given = None
        scope.relations[alias] = given
        for join in node.args.get("joins") or ():
            self._join(join, ctes, scope)

    def _check(self, column: exp.Column, scope: _Scope) -> None:
        parts = [part for part in column.parts if isinstance(part, exp.Identifier)]
        first = parts[0].name.lower()
        owner = scope.find(first) if len(parts) > 1 else None
        if owner is not None:
            known = owner.relations[first]
            name = parts[1].name.lower()
            if known is not None and name not in _folded(known) | HIDDEN:
                self._unknown(parts[1], f"{parts[0].name}.{parts[1].name}", known)
        elif len(parts) > 2 and scope.find(parts[1].name.lower()):  # noqa: PLR2004 — schema, table, column
            self._check(exp.Column(this=parts[2].copy(), table=parts[1].copy()), scope)
        elif not scope.knows(first):
            self._unknown(parts[0], parts[0].name, [*scope.names(), *(scope.relations if len(parts) > 1 else ())])
        elif len(parts) == 1 and scope.holders(first) > 1 and first not in scope.merged | scope.aliases:
            self.faults.append(ColumnFault("ambiguous-column", parts[0].name, position_of(parts[0])))

    def _unknown(self, part: exp.Expr, name: str, known: list[str] | tuple[str, ...]) -> None:
        near = nearest_name(name.rsplit(".", 1)[-1], known)
        self.faults.append(ColumnFault("unknown-column", name, position_of(part), near))

    def _output(self, node: exp.Select, scope: _Scope) -> Columns:
        given: list[str] = []
        for projection in node.expressions:
            star = projection.this if isinstance(projection, exp.Column) else projection
            if isinstance(star, exp.Star):
                found = self._star(star, scope, projection.table.lower() if star is not projection else "")
                if found is None:
                    return None
                given.extend(found)
            elif projection.find(exp.Columns, exp.Unnest):
                return None
            else:
                given.append(projection.alias_or_name)
        return tuple(given)

    def _star(self, star: exp.Star, scope: _Scope, alias: str) -> Columns:
        chosen = [columns for name, columns in scope.relations.items() if alias in {"", name}]
        if not chosen or any(columns is None for columns in chosen) or sum(map(_width, chosen)) > _MAX_COLUMNS:
            return None
        dropped = {name.name.lower() for name in star.args.get("except_") or ()}
        renamed = {pair.this.name.lower(): pair.alias for pair in star.args.get("rename") or ()}
        given: dict[str, str] = {}
        for name in (name for columns in chosen for name in columns or ()):
            key = name.lower() if name.lower() in scope.merged else f"{len(given)} {name}"
            given.setdefault(key, name)
        return tuple(renamed.get(name.lower(), name) for name in given.values() if name.lower() not in dropped)


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


def _bound(found: exp.Comprehension) -> Iterator[exp.Expr]:
    name = found.args.get("expression")
    if isinstance(name, exp.Expr):
        yield name


def _renamed(columns: Columns, alias: exp.Expr | None) -> Columns:
    """Return the columns under the names that a table alias gives the first of them (``as t(a, b)``)."""
    given = [name.name for name in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []
    if not given or columns is None:
        return columns
    return (*given, *columns[len(given) :])


def _may_hold(relations: Mapping[str, Columns], name: str) -> bool:
    return any(columns is None or name in _folded(columns) for columns in relations.values())


def _folded(columns: Columns) -> frozenset[str]:
    return frozenset(name.lower() for name in columns or ())


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

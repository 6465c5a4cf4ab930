"""The kinds of value that a SELECT's columns have, and what it does with values of the wrong kind.

Names resolve as in ``query_columns``; where a name could mean several things its kind is unknown.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from metaplatform.sql.query_columns import MOST_FAULTS
from metaplatform.sql.value_kinds import Kind, KindFault, expression_kind

Kinds = Mapping[str, Kind] | None
"""Kind by column, lower case; None where the columns are unknown."""
_STAR_CHANGES = ("except_", "replace", "rename")


@dataclass(frozen=True)
class QueryKinds:
    """The kinds of what a query gives (None: unknown), its conditions that are not true or false, and its faults."""

    output: Kinds
    faults: tuple[KindFault, ...]
    conditions: tuple[tuple[exp.Expr, Kind], ...] = ()


def query_kinds(query: exp.Query, kinds: Callable[[str], Kinds]) -> QueryKinds:
    """Return the kinds of a query's columns; ``kinds`` tells those of a reference (``raw.flights``)."""
    reader = _Reader(kinds)
    output = reader.query(query, {})
    faults = tuple(sorted(dict.fromkeys(reader.faults), key=lambda fault: fault.place)[:MOST_FAULTS])
    return QueryKinds(output, faults, tuple(reader.conditions))


@dataclass
class _Reader:
    """Reads queries inside out, collecting faults and conditions."""

    kinds: Callable[[str], Kinds]
    faults: list[KindFault] = field(default_factory=list)
    conditions: list[tuple[exp.Expr, Kind]] = field(default_factory=list)

    def query(self, node: exp.Expr, ctes: Mapping[str, Kinds]) -> Kinds:
        clause = node.args.get("with_")
        if clause is not None:
            known = dict(ctes)
            for cte in clause.expressions:
                if clause.args.get("recursive"):
                    known[cte.alias.lower()] = None
                given = self.query(cte.this, known)
                known[cte.alias.lower()] = None if _renames(cte.args.get("alias")) else given
            ctes = known
        if isinstance(node, exp.Subquery):
            return self.query(node.this, ctes)
        if isinstance(node, exp.SetOperation):
            left, right = self.query(node.left, ctes), self.query(node.right, ctes)
            return _both(left, right)
        return self._select(node, ctes) if isinstance(node, exp.Select) else None

    def _select(self, node: exp.Select, ctes: Mapping[str, Kinds]) -> Kinds:
        relations: dict[str, Kinds] = {}
        start = node.args.get("from_")
        joins = list(node.args.get("joins") or ())
        for relation in [*([start.this] if start is not None else []), *(join.this for join in joins)]:
            self._relation(relation, ctes, relations)
        bound = bound_names(node)
        aliases = {projection.alias.lower() for projection in node.expressions if projection.alias}

        def kind_of_column(column: exp.Column) -> Kind:
            return None if column.name.lower() in bound else _resolve(column, relations)

        def kind_behind_alias(column: exp.Column) -> Kind:
            return None if column.name.lower() in aliases else kind_of_column(column)

        output: dict[str, Kind] | None = {}
        for projection in node.expressions:
            found = expression_kind(projection, kind_of_column)
            self.faults.extend(found.faults)
            output = _with_projection(output, projection, found.kind, relations)
        for part, is_condition in _clauses(node, joins):
            found = expression_kind(part, kind_behind_alias)
            self.faults.extend(found.faults)
            if is_condition:
                self.conditions.append((part, found.kind))
        for nested in _nested(node):
            self.query(nested, ctes)
        return output

    def _relation(self, node: exp.Expr, ctes: Mapping[str, Kinds], relations: dict[str, Kinds]) -> None:
        alias = node.alias_or_name.lower() or f"#{len(relations)}"
        given: Kinds = None
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            given = self.kinds(f"{node.db}.{node.name}") if node.db else ctes.get(node.name.lower())
        elif isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query):
            given = self.query(node, ctes)
        unknown = node.args.get("pivots") or _renames(node.args.get("alias"))
        relations[alias] = None if unknown or alias in relations else given
        for join in node.args.get("joins") or ():
            self._relation(join.this, ctes, relations)


def _resolve(column: exp.Column, relations: Mapping[str, Kinds]) -> Kind:
    name = column.name.lower()
    if column.table:
        known = relations.get(column.table.lower()) if not column.args.get("db") else None
        return (known or {}).get(name)
    holders = [known for known in relations.values() if known is not None and name in known]
    kinds = {known[name] for known in holders}
    return kinds.pop() if len(kinds) == 1 and (len(holders) > 1 or None not in relations.values()) else None


def _with_projection(
    output: dict[str, Kind] | None, projection: exp.Expr, kind: Kind, relations: Mapping[str, Kinds]
) -> dict[str, Kind] | None:
    """Return what a SELECT gives so far, with one more projection; None once that is unknown."""
    star = projection.this if isinstance(projection, exp.Column) else projection
    if output is None or projection.find(exp.Columns, exp.Unnest):
        return None
    if not isinstance(star, exp.Star):
        return {**output, projection.alias_or_name.lower(): kind}
    alias = projection.text("table").lower() if star is not projection else ""
    chosen = [known for name, known in relations.items() if alias in {"", name}]
    if not chosen or any(known is None for known in chosen) or any(star.args.get(key) for key in _STAR_CHANGES):
        return None
    for known in chosen:
        for name, each in (known or {}).items():
            output[name] = each if output.get(name, each) == each else None
    return output


def _clauses(node: exp.Select, joins: list[exp.Join]) -> Iterator[tuple[exp.Expr, bool]]:
    """Yield the expressions of a SELECT beside its projections, and whether each is a condition."""
    for key in ("where", "having", "qualify"):
        clause = node.args.get(key)
        if clause is not None:
            yield clause.this, True
    yield from ((join.args["on"], True) for join in joins if join.args.get("on") is not None)
    for key in ("group", "order"):
        clause = node.args.get(key)
        yield from ((part, False) for part in (clause.expressions if clause is not None else ()))


def _nested(node: exp.Select) -> Iterator[exp.Expr]:
    """Yield the queries within the expressions of a SELECT, outermost ones only."""
    skipped = {id(value) for key in ("with_", "from_") if (value := node.args.get(key)) is not None}
    skipped |= {id(join.this) for join in node.args.get("joins") or ()}

    def stops(found: exp.Expr) -> bool:
        return id(found) in skipped or (isinstance(found, exp.Query) and found is not node)

    for part in node.walk(bfs=False, prune=stops):
        if isinstance(part, exp.Query) and part is not node and id(part) not in skipped:
            yield part


def bound_names(node: exp.Expr) -> set[str]:
    """Return the names that lambdas and list comprehensions bind within a query: they are not columns."""
    bound: set[str] = set()
    for found in node.find_all(exp.Lambda, exp.Comprehension):
        names = found.expressions if isinstance(found, exp.Lambda) else [found.args.get("expression")]
        bound |= {name.name.lower() for name in names if isinstance(name, exp.Expr)}
    return bound


def _renames(alias: exp.Expr | None) -> bool:
    return isinstance(alias, exp.TableAlias) and bool(alias.args.get("columns"))


def _both(left: Kinds, right: Kinds) -> Kinds:
    if left is None or right is None or len(left) != len(right):
        return None
    pairs = zip(left.items(), right.values(), strict=True)
    return {name: kind if kind == other else None for (name, kind), other in pairs}

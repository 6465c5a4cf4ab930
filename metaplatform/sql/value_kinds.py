"""What kind of value an expression gives, and operations that its kinds do not allow.

Kinds are coarser than types: what DuckDB casts by itself is one kind. A kind that the book cannot know is
None, and never at fault. What counts as a fault is what DuckDB refuses; a test holds the two together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sqlglot import exp
from sqlglot.errors import ParseError

from metaplatform.sql.dialect import sql_text, type_of
from metaplatform.sql.duckdb_kinds import KIND_GIVEN, KIND_KEPT, KINDS_REFUSED, MOMENTS_GIVEN, NUMBERS_GIVEN
from metaplatform.sql.expressions import canonical_type
from metaplatform.sql.sql_safety import SqlError, is_function, position_of, written_name

Kind = Literal["number", "text", "boolean", "moment"] | None
"""A kind of value; a moment is a date or a timestamp. None: unknown, or none of these."""
MOST_FAULTS = 50
"""So many faults of one SQL text are told."""
_SHOWN = {"number": "a number", "text": "text", "boolean": "true or false", "moment": "a date or timestamp"}
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.IntDiv)
_SCALING = (exp.Mul, exp.Div, exp.Mod, exp.IntDiv)
_ORDERINGS = (exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between)
_EQUALITIES = (exp.EQ, exp.NEQ, exp.In, exp.NullSafeEQ, exp.NullSafeNEQ)
_PATTERNS = (exp.Like, exp.ILike)
_TRUTHS = (*_ORDERINGS, *_EQUALITIES, *_PATTERNS, exp.And, exp.Or, exp.Not, exp.Is, exp.Exists, exp.Boolean)
_TRANSPARENT = (exp.Paren, exp.Filter, exp.Window, exp.Order, exp.Alias, exp.Neg)
_MOMENTS = frozenset(
    {exp.DType.DATE, exp.DType.DATE32, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.TIMESTAMPNTZ}
    | {exp.DType.TIMESTAMP_S, exp.DType.TIMESTAMP_MS, exp.DType.TIMESTAMP_NS, exp.DType.DATETIME}
)
_LONGEST = 80


@dataclass(frozen=True)
class KindFault:
    """An operation on a kind of value that it is not for: what is wrong, and its place within the SQL text.

    ``certain`` is false where the values decide: text that is compared with a number must be numbers.
    """

    culprit: str
    message: str
    fix: str
    place: tuple[int, int]
    certain: bool = True


@dataclass(frozen=True)
class ExpressionKind:
    """The kind of value that an expression gives, and its faults."""

    kind: Kind
    faults: tuple[KindFault, ...] = ()


def expression_kind(tree: exp.Expr, column: Callable[[exp.Column], Kind]) -> ExpressionKind:
    """Return the kind of an expression; ``column`` tells that of each column. Subqueries are left alone."""
    nodes = list(tree.walk(bfs=False, prune=lambda node: isinstance(node, exp.Query)))
    kinds: dict[int, Kind] = {}
    faults: list[KindFault] = []
    for node in reversed(nodes):
        fault = _fault(node, kinds)
        if fault is not None:
            faults.append(fault)
        kinds[id(node)] = column(node) if isinstance(node, exp.Column) else _kind(node, kinds)
    return ExpressionKind(kinds[id(tree)], tuple(sorted(faults, key=lambda fault: fault.place)[:MOST_FAULTS]))


@lru_cache(maxsize=4_096)
def kind_of_type(written: str) -> Kind:
    """Return the kind of a column type as the book writes it; None if it is not a type."""
    try:
        return _kind_of(type_of(canonical_type(written)))
    except (SqlError, ParseError):
        return None


def shown_kind(kind: Kind) -> str:
    """Return a kind in words."""
    return _SHOWN[kind] if kind else "something else"


def _kind_of(found: exp.DataType) -> Kind:
    if found.this in exp.DataType.NUMERIC_TYPES:
        return "number"
    if found.this in exp.DataType.TEXT_TYPES:
        return "text"
    if found.this is exp.DType.BOOLEAN:
        return "boolean"
    return "moment" if found.this in _MOMENTS else None


def _kind(node: exp.Expr, kinds: dict[int, Kind]) -> Kind:
    match node:
        case exp.Literal():
            # Text in quotes is whatever stands beside it: DuckDB reads '2024-01-01' as a date where one is wanted.
            found: Kind = None if node.is_string else "number"
        case exp.Cast():
            found = _kind_of(node.to)
        case exp.Case():
            found = _agreed(
                [*(branch.args.get("true") for branch in node.args["ifs"]), node.args.get("default")], kinds
            )
        case exp.Distinct():
            found = kinds.get(id(node.expressions[0])) if len(node.expressions) == 1 else None
        case exp.Binary() if isinstance(node, _ARITHMETIC):
            found = _kind_of_arithmetic(node, kinds)
        case _ if isinstance(node, _TRUTHS):
            found = "boolean"
        case _ if isinstance(node, _TRANSPARENT):
            found = kinds.get(id(node.this))
        case _:
            found = _kind_of_function(node, kinds) if is_function(node) else None
    return found


def _kind_of_arithmetic(node: exp.Binary, kinds: dict[int, Kind]) -> Kind:
    sides = (kinds.get(id(node.left)), kinds.get(id(node.right)))
    if sides == ("number", "number"):
        return "number"
    interval = isinstance(node.right, exp.Interval)
    return "moment" if sides[0] == "moment" and interval and isinstance(node, exp.Add | exp.Sub) else None


def _kind_of_function(node: exp.Expr, kinds: dict[int, Kind]) -> Kind:
    name = written_name(node)
    if isinstance(node, exp.Extract):
        return "number"
    if name in KIND_GIVEN:
        return KIND_GIVEN[name]
    argument = _argument(node)
    kind = kinds.get(id(argument)) if argument is not None else None
    if name in NUMBERS_GIVEN:
        return "number" if kind == "number" else None
    if name in MOMENTS_GIVEN:
        return "moment" if kind == "moment" else None
    # Asked for several values, `max` and `min` give a list.
    several = name in {"max", "min"} and node.expressions
    if name not in KIND_KEPT or argument is node or several:
        return None
    return _agreed([argument, *node.expressions], kinds)


def _agreed(parts: list[exp.Expr | None], kinds: dict[int, Kind]) -> Kind:
    """Return the kind that all parts have; nulls have any."""
    found = {kinds.get(id(part)) for part in parts if part is not None and not isinstance(part, exp.Null)}
    return found.pop() if len(found) == 1 else None


def _argument(node: exp.Expr) -> exp.Expr | None:
    """Return the value that a function works on."""
    if isinstance(node, exp.Extract):
        found = node.expression
    elif isinstance(node, exp.Anonymous):
        found = node.expressions[0] if node.expressions else None
    else:
        found = node.args.get("this")
    return found if isinstance(found, exp.Expr) else None


def _fault(node: exp.Expr, kinds: dict[int, Kind]) -> KindFault | None:
    if isinstance(node, _ARITHMETIC):
        return _arithmetic_fault(node, kinds)
    if isinstance(node, (*_ORDERINGS, *_EQUALITIES)):
        return _comparison_fault(node, kinds)
    if isinstance(node, exp.Neg):
        wrong = kinds.get(id(node.this))
        return _refused(node, "-", wrong) if wrong in {"text", "boolean", "moment"} else None
    if isinstance(node, _PATTERNS):
        wrong = kinds.get(id(node.this))
        return _refused(node, "like", wrong) if wrong in {"number", "boolean", "moment"} else None
    if is_function(node):
        name, argument = written_name(node), _argument(node)
        if isinstance(node, exp.Extract):
            name = "date_part"
        kind = kinds.get(id(argument)) if argument is not None else None
        return _refused(node, name, kind) if kind in KINDS_REFUSED.get(name, ()) else None
    return None


def _arithmetic_fault(node: exp.Expr, kinds: dict[int, Kind]) -> KindFault | None:
    wrong = {"text", "boolean"} | ({"moment"} if isinstance(node, _SCALING) else set())
    for side in (node.this, node.expression):
        kind = kinds.get(id(side))
        if kind in wrong:
            return _refused(node, _sign(node), kind)
    return None


def _comparison_fault(node: exp.Expr, kinds: dict[int, Kind]) -> KindFault | None:
    left = kinds.get(id(node.this))
    for other in _compared_with(node):
        right = kinds.get(id(other))
        pair = {left, right}
        if None in pair or len(pair) == 1 or pair == {"boolean", "number"}:
            continue
        ordered = isinstance(node, _ORDERINGS)
        # Text may be cast to the other kind where it is compared for equality: its values decide.
        return KindFault(
            _text(node),
            f"'{_text(node)}' compares {shown_kind(left)} with {shown_kind(right)}",
            "cast one side, such as `column::integer` or `column::varchar`, or compare it with its own kind",
            _place(node),
            certain=ordered or "text" not in pair,
        )
    return None


def _compared_with(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.Between):
        yield from (node.args["low"], node.args["high"])
    elif isinstance(node, exp.In):
        yield from node.expressions
    else:
        yield node.expression


def _refused(node: exp.Expr, operation: str, kind: Kind) -> KindFault:
    fix = "cast it, such as `column::integer`" if kind in {"text", "boolean"} else "give it another kind of value"
    message = f"'{operation}' is not for {shown_kind(kind)}: '{_text(node)}'"
    return KindFault(_text(node), message, fix, _place(node))


def _sign(node: exp.Expr) -> str:
    signs = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%", exp.IntDiv: "//"}
    return signs[type(node)]  # type: ignore[index]


def _text(node: exp.Expr) -> str:
    return sql_text(node, comments=False)[:_LONGEST]


def _place(node: exp.Expr) -> tuple[int, int]:
    return position_of(next((part for part in node.walk(bfs=False) if "line" in part.meta), node))

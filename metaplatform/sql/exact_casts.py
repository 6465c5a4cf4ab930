"""Values cast without loss: what would not come back as it was written is null. DuckDB's dialect.

A number is compared digit by digit with what its cast says, never through a double; a moment must keep every digit
of its second; a list, a struct or a map is held to its type leaf by leaf.
"""

from collections.abc import Mapping

from sqlglot import exp

from metaplatform.sql.dialect import call, type_of

Type = exp.DataType.Type
TEXT = type_of("varchar")
_NUMBER = r"^\s*([+-]?)0*(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?\s*$"
_PARTS = ("sign", "whole", "part", "power")
_DEFAULT_SCALE = 3
_INFINITE = r"(?i)\s*[+-]?inf(inity)?\s*"
_NUMBER_IN_JSON = r'("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*)'
_WHOLE_OR_DECIMAL = exp.DataType.INTEGER_TYPES | {Type.DECIMAL}
_FLOATING = exp.DataType.FLOAT_TYPES | {Type.DOUBLE}
_NAIVE = {Type.TIMESTAMP, Type.TIMESTAMPNTZ}
_DIGITS_OF_A_SECOND = {
    **dict.fromkeys((*_NAIVE, Type.TIMESTAMPTZ, Type.TIMESTAMPLTZ, Type.DATE, Type.TIME, Type.TIMETZ), 6),
    Type.TIMESTAMP_S: 0,
    Type.TIMESTAMP_MS: 3,
    Type.TIMESTAMP_NS: 9,
}
_DAY = r"\d{4}-\d\d?-\d\d?"
_CLOCK = r"[ T]([01]?\d|2[0-3]):\d\d(:\d\d(\.\d{1,6}0*)?)?"
_ZONE = r" ?(Z|[+-]\d\d(:?\d\d)?)"
_NO_NUMBER = r"(?i)nan|[+-]?inf(inity)?"
_PLAIN_NUMBER = r"-?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d+)?"


def exact_cast(value: exp.Expr, target: exp.DataType, found: exp.DataType = TEXT, *, nearest: bool = True) -> exp.Expr:
    """Return ``value``, of type ``found``, in type ``target``: null where it is not such a value, or would change.

    Text that is a number becomes the ``nearest`` floating-point value, unless that is refused too.
    """
    if found == target:
        return value.copy()
    if _is_nested(target) and found.this in {Type.JSON, *exp.DataType.TEXT_TYPES}:
        return _nested(value, target, found, nearest=nearest)
    if found.this in exp.DataType.TEXT_TYPES:
        return _from_text(value, target, nearest=nearest)
    cast = _try(value, target)
    if target.this in {Type.JSON, *exp.DataType.TEXT_TYPES}:
        return cast
    same = exp.NullSafeEQ(this=_try(cast, found), expression=value.copy())
    return _only_if(same, cast)


def guesses(value: exp.Expr) -> Mapping[str, exp.Expr]:
    """Return the text as each type that it may be taken for, in order: null unless it is that, and only that.

    Digits with zeros or a plus sign in front are names, not numbers. Of moments, only the forms of ISO 8601 count.
    """
    whole = _try(value, type_of("bigint"))
    number = exp.or_(exp.and_(_is_all(value, _PLAIN_NUMBER), _has_digit(value)), _is_all(value, _NO_NUMBER))
    return {
        "bigint": _only_if(exp.EQ(this=_cast(whole, TEXT), expression=value.copy()), whole),
        "double": _only_if(number, exact_cast(value, type_of("double"), nearest=False)),
        "boolean": _only_if(_is_all(value, "(?i)true|false"), _try(value, type_of("boolean"))),
        "date": _only_if(_is_all(value, _DAY), _try(value, type_of("date"))),
        "timestamptz": _only_if(_is_all(value, _DAY + _CLOCK + _ZONE), _try(value, type_of("timestamptz"))),
        "timestamp": _only_if(_is_all(value, f"{_DAY}({_CLOCK})?"), _try(value, type_of("timestamp"))),
    }


def numbers_in_quotes(json: exp.Expr, mark: str = "") -> exp.Expr:
    """Return JSON text with each number made a string of its digits, which JSON's own readers would round.

    ``mark`` is put in front of the digits, for telling such strings from others.
    """
    opened, closed = (exp.Literal.string(control) for control in ("\x01", "\x02"))
    # Either a string or a number is matched; control characters, which no JSON has, say where a number was.
    marked = call("regexp_replace", json.copy(), _text(_NUMBER_IN_JSON), _text("\\1\x01\\2\x02"), _text("g"))
    bare = call("replace", marked, _text("\x01\x02"), _text(""))
    return call("replace", call("replace", bare, opened, _text(f'"{mark}')), closed, _text('"'))


def _from_text(value: exp.Expr, target: exp.DataType, *, nearest: bool) -> exp.Expr:
    cast = _try(value, target)
    if target.this in _WHOLE_OR_DECIMAL:
        # Digits behind those that the type has are zeros, or the number is written with a power of ten.
        plain = rf"\s*[+-]?\d*(\.\d{{0,{_scale(target)}}}0*)?\s*"
        # DuckDB takes the digits before it applies the power: the widest type has room for them.
        wide = _try(value, type_of(f"decimal(38, {_scale(target)})"))
        powered = exp.and_(call("contains", call("lower", value.copy()), _text("e")), _same_digits(value, wide))
        return exp.Case(
            ifs=[exp.If(this=_is_all(value, plain), true=cast), exp.If(this=powered, true=_try(wide, target))]
        )
    if target.this in _FLOATING and not nearest:
        plain_same = exp.EQ(this=_cast(cast, TEXT), expression=value.copy())
        same = _same_digits(value, cast)
        return exp.Case(ifs=[exp.If(this=plain_same, true=cast), exp.If(this=same, true=cast.copy())])
    if target.this in _FLOATING:
        overflow = exp.and_(call("isinf", cast.copy()), exp.Not(this=_is_all(value, _INFINITE)))
        return exp.Case(ifs=[exp.If(this=overflow, true=exp.null())], default=cast)
    if target.this in _DIGITS_OF_A_SECOND:
        return _moment(value, target, cast)
    return cast


def _scale(target: exp.DataType) -> int:
    if target.this in exp.DataType.INTEGER_TYPES:
        return 0
    parts = [int(part.name) for part in target.expressions]
    return parts[1] if len(parts) > 1 else (0 if parts else _DEFAULT_SCALE)


def _same_digits(value: exp.Expr, cast: exp.Expr) -> exp.Expr:
    """Return whether a number in text, and what its cast says, are one number, digit by digit."""
    both = exp.Array(expressions=[value.copy(), _cast(cast, TEXT)])
    parts = call("regexp_extract", exp.column("item"), _text(_NUMBER), exp.Array(expressions=[*map(_text, _PARTS)]))
    split = call("list_transform", both, _lambda("item", parts))
    return exp.EQ(
        this=exp.Literal.number(1),
        expression=call("len", call("list_distinct", call("list_transform", split, _lambda("item", _digits())))),
    )


def _digits() -> exp.Expr:
    """Return the ``item``'s sign, its digits without zeros around them, and the power of ten of the last."""

    def part(name: str) -> exp.Expr:
        return call("struct_extract", exp.column("item"), _text(name))

    digits = call("concat", part("whole"), part("part"))
    kept = call("rtrim", digits.copy(), _text("0"))
    power = exp.Coalesce(this=_try(part("power"), type_of("bigint")), expressions=[exp.Literal.number(0)])
    dropped = exp.Sub(this=call("length", digits), expression=call("length", kept.copy()))
    last = exp.Add(this=exp.Sub(this=power, expression=call("length", part("part"))), expression=dropped)
    sign = exp.Case(ifs=[exp.If(this=exp.EQ(this=part("sign"), expression=_text("-")), true=_text("-"))])
    shown = call("concat", sign, call("ltrim", kept.copy(), _text("0")), _text("e"), last)
    return exp.Case(ifs=[exp.If(this=exp.EQ(this=kept, expression=_text("")), true=_text("0"))], default=shown)


def _lambda(name: str, body: exp.Expr) -> exp.Lambda:
    return exp.Lambda(this=body, expressions=[exp.to_identifier(name)])


def _moment(value: exp.Expr, target: exp.DataType, cast: exp.Expr) -> exp.Expr:
    finer = rf"\.\d{{{_DIGITS_OF_A_SECOND[target.this]}}}\d*[1-9]"
    kept: exp.Expr = exp.Not(this=call("regexp_matches", value.copy(), _text(finer)))
    if target.this is Type.DATE:
        midnight = exp.EQ(this=_cast(cast, type_of("timestamp")), expression=_try(value, type_of("timestamp")))
        return _only_if(exp.and_(kept, midnight), cast)
    if target.this in _NAIVE:
        cast = _with_offset(value, target, cast)
    return _only_if(kept, cast)


def _with_offset(value: exp.Expr, target: exp.DataType, cast: exp.Expr) -> exp.Expr:
    """Return the moment that a text means: DuckDB's cast drops an offset from UTC silently."""
    clock = call("substr", value.copy(), exp.Literal.number(len("2024-01-01T")))
    zoned = call("regexp_matches", clock, _text("[+-]"))
    moment = _try(_try(value, type_of("timestamptz")), target)
    return exp.Case(ifs=[exp.If(this=zoned, true=moment)], default=cast)


def _nested(value: exp.Expr, target: exp.DataType, found: exp.DataType, *, nearest: bool) -> exp.Expr:
    if found.this is Type.JSON:
        value = _cast(numbers_in_quotes(_cast(value, TEXT)), type_of("json"))
    leaves = _try(value, _of_text(target))
    lost = exp.Coalesce(this=_any_lost(leaves, target, nearest=nearest), expressions=[exp.false()])
    return _only_if(exp.Not(this=lost), _try(leaves, target))


def _any_lost(value: exp.Expr, target: exp.DataType, *, nearest: bool, depth: int = 0) -> exp.Expr:
    """Return whether any leaf of nested text is not a value of its type in ``target``; null where there is none."""
    if target.this is Type.STRUCT:
        fields = [(field.name, field.args["kind"]) for field in target.expressions if isinstance(field, exp.ColumnDef)]
        each = [
            exp.Coalesce(this=_any_lost(part, kind, nearest=nearest, depth=depth), expressions=[exp.false()])
            for part, kind in ((call("struct_extract", value.copy(), _text(name)), kind) for name, kind in fields)
        ]
        return exp.or_(*each)
    if target.this is Type.MAP:
        ends = zip(("map_keys", "map_values"), target.expressions, strict=True)
        lists = [_any_of_list(call(end, value.copy()), kind, nearest=nearest, depth=depth) for end, kind in ends]
        return exp.or_(*(exp.Coalesce(this=each, expressions=[exp.false()]) for each in lists))
    if _is_nested(target):
        return _any_of_list(value, target.expressions[0], nearest=nearest, depth=depth)
    there = exp.Not(this=exp.Is(this=value.copy(), expression=exp.null()))
    return exp.and_(there, exp.Is(this=exact_cast(value, target, nearest=nearest), expression=exp.null()))


def _any_of_list(values: exp.Expr, kind: exp.DataType, *, nearest: bool, depth: int) -> exp.Expr:
    item = exp.to_identifier(f"item_{depth}")
    lost = _any_lost(exp.column(item.copy()), kind, nearest=nearest, depth=depth + 1)
    mapped = call("list_transform", values.copy(), exp.Lambda(this=lost, expressions=[item]))
    return call("list_aggregate", mapped, _text("bool_or"))


def _of_text(target: exp.DataType) -> exp.DataType:
    """Return a nested type with text for each of its leaves."""
    if not _is_nested(target):
        return TEXT.copy()
    copy = target.copy()
    inner = [
        exp.ColumnDef(this=each.this, kind=_of_text(each.args["kind"]))
        if isinstance(each, exp.ColumnDef)
        else _of_text(each)
        for each in copy.expressions
    ]
    copy.set("expressions", inner)
    return copy


def _is_nested(target: exp.DataType) -> bool:
    return target.this in {Type.STRUCT, Type.MAP, Type.LIST, Type.ARRAY} and bool(target.expressions)


def _is_all(value: exp.Expr, pattern: str) -> exp.Expr:
    return call("regexp_full_match", value.copy(), _text(pattern))


def _has_digit(value: exp.Expr) -> exp.Expr:
    return call("regexp_matches", value.copy(), _text("^-?[0-9.]*[0-9]"))


def _only_if(condition: exp.Expr, then: exp.Expr) -> exp.Expr:
    return exp.Case(ifs=[exp.If(this=condition, true=then.copy())])


def _try(value: exp.Expr, to: exp.DataType) -> exp.Expr:
    return exp.TryCast(this=value.copy(), to=to.copy())


def _cast(value: exp.Expr, to: exp.DataType) -> exp.Expr:
    return exp.Cast(this=value.copy(), to=to.copy())


def _text(value: str) -> exp.Expr:
    return exp.Literal.string(value)

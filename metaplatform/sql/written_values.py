"""How text says numbers and moments: marks of decimals and thousands, and formats of dates. DuckDB's dialect."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from metaplatform.sql.dialect import call
from metaplatform.sql.exact_casts import exact_cast, guesses

Type = exp.DataType.Type
DECIMALS, THOUSANDS = (".", ","), (",", ".", " ", "'", "_")
"""What may stand in front of a number's decimals, and between its thousands."""
_NUMBERS = exp.DataType.INTEGER_TYPES | exp.DataType.FLOAT_TYPES | {Type.DOUBLE, Type.DECIMAL}
_MOMENTS = {Type.DATE, Type.TIMESTAMP, Type.TIMESTAMPNTZ, Type.TIMESTAMPTZ, Type.TIMESTAMPLTZ, Type.TIME}
_DIRECTIVE, _KNOWN = re.compile(r"%-?(.)"), frozenset("aAbBdDfgGHIjmMpSuUVWxXyYzZ%")
_ZONES, _GUESSED_NUMBERS = ("%z", "%Z"), ("bigint", "double")
# Besides the blank itself, those that do not break a line stand between thousands in French, Swedish and other texts.
_BLANKS = "[ \u00a0\u202f]"
_NO_NUMBER = r"(?i)nan|[+-]?inf(inity)?"


@dataclass(frozen=True)
class Written:
    """How the values of text are written: ``decimal`` and ``thousands`` of numbers, ``formats`` of moments by column.

    A format has the directives of ``strptime``. What a text does not say in the declared way is not a value of its
    type, also where it would be elsewhere: 1.5 where decimals have a comma.
    """

    decimal: str = "."
    thousands: str = ""
    formats: Mapping[str, str] = field(default_factory=dict)

    def cast(self, name: str, value: exp.Expr, target: exp.DataType, found: exp.DataType) -> exp.Expr:
        """Return a column's value, of type ``found``, in type ``target``: null where it is not one, or would change."""
        if found.this not in exp.DataType.TEXT_TYPES:
            return exact_cast(value, target, found)
        if name in self.formats and target.this in _MOMENTS:
            return _moment(value, self.formats[name], target)
        return exact_cast(self._plain(value) if target.this in _NUMBERS else value, target, found)

    def told(self, name: str, target: exp.DataType) -> str:
        """Return how a value of a column is to be written, to go behind its type; empty where nothing is declared."""
        if name in self.formats and target.this in _MOMENTS:
            return f" as {self.formats[name]}"
        if target.this not in _NUMBERS or (self.decimal, self.thousands) == (".", ""):
            return ""
        return f" with '{self.decimal}' in front of decimals"

    def guesses(self, value: exp.Expr) -> Mapping[str, exp.Expr]:
        """Return a text as each type that it may be taken for, in order, as :func:`exact_casts.guesses` does."""
        numbers = guesses(self._plain(value))
        return {kind: numbers[kind] if kind in _GUESSED_NUMBERS else each for kind, each in guesses(value).items()}

    def _plain(self, value: exp.Expr) -> exp.Expr:
        """Return a number's text with a point and nothing between its thousands; null where it is not written so."""
        if (self.decimal, self.thousands) == (".", ""):
            return value
        mark = _BLANKS if self.thousands == " " else re.escape(self.thousands)
        whole = rf"(\d{{1,3}}({mark}\d{{3}})+|\d*)" if self.thousands else r"\d*"
        form = rf"\s*[+-]?{whole}({re.escape(self.decimal)}\d*)?([eE][+-]?\d+)?\s*|{_NO_NUMBER}"
        plain = value.copy()
        if self.thousands:
            plain = call("regexp_replace", plain, *map(exp.Literal.string, (mark, "", "g")))
        if self.decimal != ".":
            plain = call("replace", plain, *map(exp.Literal.string, (self.decimal, ".")))
        fits = call("regexp_full_match", value.copy(), exp.Literal.string(form))
        return exp.Case(ifs=[exp.If(this=fits, true=plain)])


PLAIN = Written()
"""Numbers with a point and nothing between thousands, moments as ISO 8601 has them."""


def is_moment(target: exp.DataType) -> bool:
    """Tell whether a type is one that a format can be given for."""
    return target.this in _MOMENTS


def fault_of_format(text: str) -> str | None:
    """Return what is wrong with a format of moments, None if nothing is."""
    wrong = [found for found in _DIRECTIVE.findall(text) if found not in _KNOWN]
    if wrong or text.replace("%%", "").endswith("%"):
        return f"'%{wrong[0] if wrong else ''}' is not a directive of strptime"
    return None if _DIRECTIVE.search(text.replace("%%", "")) else "it has no directive of strptime, such as %d"


def _moment(value: exp.Expr, form: str, target: exp.DataType) -> exp.Expr:
    parsed = call("try_strptime", value.copy(), exp.Literal.string(form))
    zoned = any(zone in form.replace("%%", "") for zone in _ZONES)
    if target.this is Type.TIME:
        return exp.TryCast(this=parsed, to=target.copy())
    return exact_cast(parsed, target, exp.DataType.build("timestamptz" if zoned else "timestamp", dialect="duckdb"))

"""Top-level key ``parameters``: values that the environment may set, each with a type and a default."""

import math
import re
from collections.abc import Callable
from typing import Literal

from sqlglot import exp

from metaplatform.specs.fields.base import EnvironmentVariable, Name, Spec
from metaplatform.specs.fields.duration import Duration
from metaplatform.sql.dialect import sql_text

ParameterType = Literal["text", "integer", "number", "boolean", "duration"]
Value = bool | int | float | str
"""The value of a parameter; a duration is text."""

_LONGEST = 1_000
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}


class ParameterSpec(Spec):
    """A value of the book that its environment may set: written ``${name}`` where it is used; never a secret.

    ``type`` is what its value must be. ``description`` is for people.

    The environment variable ``env`` (default: ``METAPLATFORM_PARAMETER_`` and the name in capitals) sets it;
    one that is unset or empty leaves ``default``. Without ``default`` the variable must be set.
    """

    name: Name
    type: ParameterType
    default: bool | int | float | str | None = None
    env: EnvironmentVariable | None = None
    description: str = ""

    @property
    def variable(self) -> str:
        """Return the name of the environment variable that sets the parameter."""
        return self.env or f"METAPLATFORM_PARAMETER_{self.name.upper()}"


def value_of(kind: ParameterType, written: Value) -> Value:
    """Return the value that a YAML scalar means as a parameter of type ``kind``.

    Raises:
        ValueError: if it is of another type; the value is not in the message.
    """
    fits: dict[ParameterType, Callable[[], bool]] = {
        "text": lambda: isinstance(written, str) and len(written) <= _LONGEST and _is_plain(written),
        "integer": lambda: type(written) is int,
        "number": lambda: type(written) in {int, float} and math.isfinite(written),  # type: ignore[arg-type]
        "boolean": lambda: isinstance(written, bool),
        "duration": lambda: isinstance(written, str) and _is_duration(written),
    }
    if not fits[kind]():
        raise ValueError(f"the value is not a valid {kind}; write {_EXAMPLES[kind]}")
    return float(written) if kind == "number" else written


_EXAMPLES: dict[ParameterType, str] = {
    "text": f"text in UTF-8, {_LONGEST:,} characters at most",
    "integer": "a whole number such as 300",
    "number": "a number such as 0.5",
    "boolean": "true or false",
    "duration": "a duration such as '7 days'",
}


def value_of_text(kind: ParameterType, text: str) -> Value:
    """Return the value that the text of an environment variable means.

    Raises:
        ValueError: if it is of another type; the text is not in the message.
    """
    written: Value = text
    stripped = text.strip()
    if kind == "integer" and _INTEGER.fullmatch(stripped):
        written = int(stripped)
    elif kind == "boolean":
        written = _BOOLEANS.get(stripped.lower(), text)
    elif kind == "number" and "_" not in stripped:
        try:
            written = float(stripped)
        except ValueError:
            written = text
    return value_of(kind, written)


def text_of(value: Value) -> str:
    """Return a value as it is put into a longer text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def sql_of(kind: ParameterType, value: Value) -> str:
    """Return a value as an SQL literal in DuckDB's dialect."""
    literal: exp.Expr
    if kind == "duration":
        count, unit = str(Duration.parse(str(value))).split(" ", 1)
        literal = exp.Interval(this=exp.Literal.string(count), unit=exp.var(unit.removesuffix("s").upper()))
    else:
        literal = exp.convert(value)
    # `1 -${x}` must begin no comment (also with -0.0), and an interval is read on over the plus behind it.
    apart = isinstance(literal, exp.Interval) or sql_text(literal).startswith("-")
    return sql_text(exp.paren(literal) if apart else literal)


def _is_plain(text: str) -> bool:
    """Tell whether a text can be stored and shown: bytes that are not UTF-8 come from the environment as surrogates."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _is_duration(text: str) -> bool:
    try:
        Duration.parse(text)
    except ValueError:
        return False
    return True

"""What a column is, told from a sample of it, and how sure that is."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter, ValidationError
from sqlglot import exp

from metaplatform.resources.column_facts import CLOCK_FORMATS, DATE_FORMATS, UNMISTAKABLE
from metaplatform.resources.samples import ColumnFacts
from metaplatform.scaffolding.yaml_text import sql_column
from metaplatform.specs.base import Name

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_NESTED = ("STRUCT", "MAP", "UNION", "JSON")
_PLAIN = (
    ("bigint", "whole numbers"),
    ("boolean", "true or false"),
    ("date", "dates"),
    ("timestamptz", "moments with a time zone"),
    ("timestamp", "moments without a time zone: taken as UTC"),
)
"""Types in the order they are tried, with what people call their values."""
_TIMES = {"date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamptz"}


@dataclass(frozen=True)
class ColumnGuess:
    """What a column of a file is taken for.

    ``type`` is DuckDB's and ``note`` says why. ``markers`` are texts to be read as null. ``derived`` is a column
    (name, expression) that holds the value where the file's own form is not a type of SQL. ``time`` names the column
    that has the moment, if this is one; ``full`` if no value is missing.
    """

    name: str
    type: str
    note: str
    full: bool
    markers: tuple[str, ...] = ()
    derived: tuple[str, str] | None = None
    time: str | None = None
    first: datetime | None = None
    last: datetime | None = None


def guess_column(facts: ColumnFacts, *, rows: int, taken: Collection[str], as_text: bool) -> ColumnGuess:
    """Return what the column is; ``taken`` are the names of columns, ``as_text`` if nested values come as text."""
    full = facts.values == rows
    kind, note, derived = _text(facts, taken) if facts.type == "VARCHAR" else _typed(facts, as_text=as_text)
    moment = derived[0] if derived and facts.first else (facts.name if kind.split()[0] in _TIMES else None)
    words = kind == "varchar" and derived is None
    return ColumnGuess(
        name=facts.name,
        type=kind,
        note=note if full else f"{note}; {rows - facts.values} of {rows} missing",
        full=full,
        markers=tuple(mark for mark in facts.markers if not words or mark in UNMISTAKABLE),
        derived=derived,
        time=moment,
        first=facts.first if moment else None,
        last=facts.last if moment else None,
    )


def _text(facts: ColumnFacts, taken: Collection[str]) -> tuple[str, str, tuple[str, str] | None]:
    """Return type, note and derived column of a column of text."""
    count = facts.values
    if not count:
        return "varchar", "no value to tell by: check", None
    fits = facts.fits
    for kind, words in _PLAIN:
        if kind in fits:
            return kind, f"all {count} values are {words}", None
    if "digits" in fits:
        return "varchar", "digits with zeros in front, or too many for a number: kept as text", None
    if "double" in fits:
        return "double", f"all {count} values are numbers", None
    return _written(facts, fits, taken)


def _written(
    facts: ColumnFacts, fits: Collection[str], taken: Collection[str]
) -> tuple[str, str, tuple[str, str] | None]:
    """Return type, note and derived column of text that is not a type of SQL as it is written."""
    column = sql_column(facts.name)
    if "decimal comma" in fits:
        name = free_name(f"{plain_name(facts.name)}_number", taken)
        return "varchar", f"numbers with a decimal comma: see {name}", (name, _comma_number(column))
    forms = [day + clock for day in DATE_FORMATS for clock in CLOCK_FORMATS if day + clock in fits]
    if forms:
        name = free_name(f"{plain_name(facts.name)}_at", taken)
        also = f" (or {forms[1]}: check)" if len(forms) > 1 else ""
        form = exp.Literal.string(forms[0]).sql("duckdb")
        return "varchar", f"written as {forms[0]}{also}: see {name}", (name, f"strptime({column}, {form})")
    return "varchar", f"text, {facts.distinct} different in the sample", None


def _comma_number(column: str) -> str:
    return f"replace(replace({column}, '.', ''), ',', '.')::double"


def _typed(facts: ColumnFacts, *, as_text: bool) -> tuple[str, str, None]:
    kind = facts.type
    nested = kind.startswith(_NESTED) or kind.endswith("]")
    if not facts.values and kind in {'"NULL"', "JSON"}:
        return "varchar", "no value to tell by: check", None
    if nested and as_text:
        return "varchar", "nested: kept as JSON text", None
    if kind == "TIMESTAMP" and as_text:
        return "timestamptz", "moments; without a time zone: taken as UTC", None
    if kind == "TIMESTAMP WITH TIME ZONE":
        return "timestamptz", "the file's own type", None
    return kind if nested else kind.lower(), "inferred by DuckDB" if as_text else "the file's own type", None


def plain_name(text: str, *, otherwise: str = "column") -> str:
    """Return ``text`` as a name of the book: letters, digits and single underscores, lower case."""
    letters = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    name = re.sub(r"[^0-9a-z]+", "_", letters.lower()).strip("_")[:50].strip("_")
    if not name:
        return otherwise
    name = name if name[0].isalpha() else f"{otherwise}_{name}"
    try:
        return str(_NAME.validate_python(name))
    except ValidationError:
        # A Python keyword, for one.
        return f"{name}_{otherwise}"


def free_name(name: str, taken: Collection[str]) -> str:
    """Return ``name``, numbered if it is taken whatever the case."""
    folded = {each.casefold() for each in taken}
    if name.casefold() not in folded:
        return name
    return next(f"{name}_{number}" for number in range(2, len(folded) + 3) if f"{name}_{number}" not in folded)

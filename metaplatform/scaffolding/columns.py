"""What a column is, told from a sample of it, and how sure that is."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from metaplatform.resources.sources.column_facts import CLOCK_FORMATS, DATE_FORMATS
from metaplatform.resources.sources.samples import ColumnFacts
from metaplatform.scaffolding.null_marks import without
from metaplatform.scaffolding.yaml_text import sql_column
from metaplatform.specs.fields.base import Name
from metaplatform.sql.dialect import literal
from metaplatform.sql.written_values import PLAIN, Written

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
_PLAINLY = {"digits", "double", *(kind for kind, _ in _PLAIN)}
_BY_CHANCE, _YEARS = 5, (1900, 2100)


@dataclass(frozen=True)
class ColumnGuess:
    """What a column of a file is taken for.

    ``type`` is DuckDB's and ``note`` says why. ``derived`` is a column (name, expression) that holds the value where
    the file's own form is not a type of SQL. ``time`` names the column that has the moment, if this is one; ``full``
    if no value is missing. ``format`` is that of its dates or times, where the source is to be told of it.
    """

    name: str
    type: str
    note: str
    full: bool
    derived: tuple[str, str] | None = None
    time: str | None = None
    first: datetime | None = None
    last: datetime | None = None
    format: str | None = None


def numbers_written(columns: Sequence[ColumnFacts]) -> Written:
    """Return how a file writes all of its numbers, if it does so in one way other than with points alone."""
    numbers = [facts.fits for facts in columns if "bigint" not in facts.fits and not _are_days(facts)]
    commas = any("decimal comma" in fits for fits in numbers)
    thousands = any("thousands" in fits and "double" not in fits for fits in numbers)
    if commas and not thousands and not any("double" in fits for fits in numbers):
        return Written(decimal=",", thousands=".")
    return Written(thousands=",") if thousands and not commas else PLAIN


def guess_column(
    facts: ColumnFacts,
    *,
    rows: int,
    taken: Collection[str],
    as_text: bool,
    marks: Sequence[str] = (),
    written: Written | None = None,
) -> ColumnGuess:
    """Return what the column is; ``taken`` are the names of columns, ``as_text`` if nested values come as text.

    ``marks`` are texts that stand for nothing in this column, and are not read as null by the source. ``written`` is
    how it is told that numbers are written, None for a kind that is told neither that nor formats of dates.
    """
    full, told = facts.values == rows, None if marks else written
    declared = _as_declared(facts, told) if told is not None and facts.type == "VARCHAR" else None
    if declared is not None:
        kind, note, derived = (*declared, None)
    else:
        kind, note, derived = _text(facts, taken, marks) if facts.type == "VARCHAR" else _typed(facts, as_text=as_text)
    moment = derived[0] if derived and _is_time(facts) else (facts.name if kind.split()[0] in _TIMES else None)
    return ColumnGuess(
        name=facts.name,
        type=kind,
        note=note if full else f"{note}; {rows - facts.values} of {rows} missing",
        full=full,
        derived=derived,
        time=moment,
        first=facts.first if moment else None,
        last=facts.last if moment else None,
        format=_forms(facts)[0] if declared is not None and kind in _TIMES else None,
    )


def _as_declared(facts: ColumnFacts, written: Written) -> tuple[str, str] | None:
    """Return type and note of a column that a source reads once it is told how values are written, None for others."""
    if not facts.values or (facts.fits & _PLAINLY and not _are_days(facts)):
        return None
    if not _are_days(facts):
        if "decimal comma" in facts.fits and written.decimal == ",":
            return "double", "numbers with a decimal comma"
        if "thousands" in facts.fits and written.thousands == ",":
            return "double", "numbers with commas between thousands"
    forms = _forms(facts)
    if not forms:
        return None
    also = f" (or {forms[1]}: check)" if len(forms) > 1 else ""
    return ("timestamp" if "%H" in forms[0] else "date"), f"written as {forms[0]}{also}"


def _forms(facts: ColumnFacts) -> list[str]:
    """Return the formats of dates and times that every value is of."""
    return [day + clock for day in DATE_FORMATS for clock in CLOCK_FORMATS if day + clock in facts.fits]


def _text(facts: ColumnFacts, taken: Collection[str], marks: Sequence[str]) -> tuple[str, str, tuple[str, str] | None]:
    """Return type, note and derived column of a column of text."""
    count = facts.values
    if not count:
        return "varchar", "no value to infer from: check", None
    fits = facts.fits
    value = without(sql_column(facts.name), marks)
    told = f", and {_quoted(marks)} for nothing" if marks else ""
    if not _are_days(facts):
        for kind, words in _PLAIN:
            if kind in fits:
                return _as(kind, f"all {count} values are {words}{told}", facts, taken, value if marks else "")
        if "digits" in fits:
            return "varchar", "digits with zeros in front, or too many for a number: kept as text", None
        if "double" in fits:
            return _as("double", f"all {count} values are numbers{told}", facts, taken, value if marks else "")
    return _written(facts, taken, value, told)


def _as(
    kind: str, note: str, facts: ColumnFacts, taken: Collection[str], value: str
) -> tuple[str, str, tuple[str, str] | None]:
    """Return a column of a type; where marks are to be taken out first (``value``), a derived column is of it."""
    if not value:
        return kind, note, None
    name = free_name(f"{plain_name(facts.name)}_{'at' if kind in _TIMES else 'value'}", taken)
    return "varchar", f"{note}: see {name}", (name, f"{value}::{kind}")


def _are_days(facts: ColumnFacts) -> bool:
    """Tell whether whole numbers are days without separators, as 20241231: too many of them to be so by chance."""
    if "%Y%m%d" not in facts.fits or facts.first is None or facts.last is None:
        return False
    return facts.distinct >= _BY_CHANCE and facts.first.year >= _YEARS[0] and facts.last.year <= _YEARS[1]


def _is_time(facts: ColumnFacts) -> bool:
    return facts.first is not None and ("bigint" not in facts.fits or _are_days(facts))


def _quoted(texts: Sequence[str]) -> str:
    return " and ".join(repr(text) for text in texts)


def _written(
    facts: ColumnFacts, taken: Collection[str], column: str, told: str
) -> tuple[str, str, tuple[str, str] | None]:
    """Return type, note and derived column of text that is not a type of SQL as it is written."""
    if "decimal comma" in facts.fits and not _are_days(facts):
        name = free_name(f"{plain_name(facts.name)}_number", taken)
        return "varchar", f"numbers with a decimal comma{told}: see {name}", (name, _comma_number(column))
    if "thousands" in facts.fits and not _are_days(facts):
        name = free_name(f"{plain_name(facts.name)}_number", taken)
        return "varchar", f"numbers with commas between thousands{told}: see {name}", (name, _without_commas(column))
    forms = _forms(facts)
    if forms:
        name = free_name(f"{plain_name(facts.name)}_at", taken)
        also = f" (or {forms[1]}: check)" if len(forms) > 1 else ""
        form = literal(forms[0])
        return "varchar", f"written as {forms[0]}{also}{told}: see {name}", (name, f"strptime({column}, {form})")
    return "varchar", f"text, {facts.distinct} different in the sample", None


def _without_commas(column: str) -> str:
    return f"replace({column}, ',', '')::double"


def _comma_number(column: str) -> str:
    return f"replace(replace({column}, '.', ''), ',', '.')::double"


def _typed(facts: ColumnFacts, *, as_text: bool) -> tuple[str, str, None]:
    kind = facts.type
    nested = kind.startswith(_NESTED) or kind.endswith("]")
    if not facts.values and kind in {'"NULL"', "JSON"}:
        return "varchar", "no value to infer from: check", None
    if nested and as_text:
        return "varchar", "nested: kept as JSON text", None
    if kind == "TIMESTAMP" and as_text:
        return "timestamptz", "moments; without a time zone: taken as UTC", None
    if kind == "TIMESTAMP WITH TIME ZONE":
        return "timestamptz", "the source's own type", None
    return kind if nested else kind.lower(), "inferred by DuckDB" if as_text else "the source's own type", None


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

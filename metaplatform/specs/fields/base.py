"""The strict base of every spec, and the field types that all chapters share."""

import keyword
import re
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from metaplatform.chapters import ASSETS
from metaplatform.specs.fields.duration import Duration

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
# Addresses as Dagster takes them: it refuses to load any others.
_OWNER = re.compile(r"team:[A-Za-z0-9_-]+|\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")
_ENVIRONMENT_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_RESERVED = frozenset({"input", "context"})
_LONGEST_COLUMN = 128

T = TypeVar("T")

PRESENTATION = frozenset({"description", "owners", "tags", "docs"})
"""Fields of every entity that are for people: no result depends on them."""


def _check_name(value: str) -> str:
    if not _NAME.fullmatch(value) or keyword.iskeyword(value) or value in _RESERVED or "__" in value:
        raise ValueError(
            "a name is a letter, then letters, digits or single underscores (63 at most), and no Python keyword"
        )
    return value


def _check_column(value: str) -> str:
    if not value or len(value) > _LONGEST_COLUMN or not value.isprintable() or value.startswith("_"):
        raise ValueError("a column name is 1 to 128 printable characters and does not start with an underscore")
    return value


def _check_owner(value: str) -> str:
    if not _OWNER.fullmatch(value):
        raise ValueError("an owner is 'team:name' or an e-mail address without accents, its last part 2 to 7 letters")
    return value


def _check_environment_variable(value: str) -> str:
    if not _ENVIRONMENT_VARIABLE.fullmatch(value):
        raise ValueError("an environment variable is upper-case letters, digits and underscores")
    return value


def _check_pattern(value: str) -> str:
    try:
        found = re.compile(value)
    except re.error as error:
        raise ValueError(f"'{value}' is not a regular expression: {error}") from error
    if found.groups != 1:
        raise ValueError(f"'{value}' has {found.groups} groups: put parentheses around the value, and nothing else")
    return value


def _parse_duration(value: object) -> object:
    return Duration.parse(value) if isinstance(value, str) else value


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _form(pattern: str) -> WithJsonSchema:
    """Say in JSON Schema what the validator beside it checks, as far as a pattern can."""
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$"})


@dataclass(frozen=True)
class SqlText:
    """Marks the type of a text that is SQL: what is put into it is put in as SQL."""

    query: bool


_TAKEN = "|".join(sorted({*keyword.kwlist, *_RESERVED}))
Name = Annotated[str, AfterValidator(_check_name), _form(f"(?!.*__|(?:{_TAKEN})$){_NAME.pattern}")]
"""Name of an entity or a feature: a plain identifier, safe in paths, keys and SQL."""
ColumnName = Annotated[str, AfterValidator(_check_column), _form(r"[^_].{0,127}")]
"""Name of a column of the user's data: any printable text; always quoted in SQL."""
Pattern = Annotated[str, AfterValidator(_check_pattern)]
"""A regular expression with one group, which stands around the value that it finds."""
Owner = Annotated[str, AfterValidator(_check_owner), _form(_OWNER.pattern)]
EnvironmentVariable = Annotated[str, AfterValidator(_check_environment_variable), _form(_ENVIRONMENT_VARIABLE.pattern)]
"""Name of an environment variable; the only way the book refers to a secret."""
Ref = Annotated[
    str,
    Field(pattern=rf"^({'|'.join(ASSETS)})\.[A-Za-z][A-Za-z0-9_]*$"),
]
"""Reference to an asset of the book: ``raw.flights``, ``predictions.late_flights``; the form that SQL uses too."""
Expression = Annotated[str, Field(min_length=1), SqlText(query=False)]
"""One SQL expression in DuckDB's dialect; parsed when the book is validated."""
Query = Annotated[str, Field(min_length=1), SqlText(query=True)]
"""One SQL SELECT in DuckDB's dialect; tables are written as references (``raw.flights``)."""
Interval = Annotated[Duration, BeforeValidator(_parse_duration)]
"""A span of time, written as in ``7 days`` or ``3 months``."""
Many = Annotated[tuple[T, ...], BeforeValidator(_as_tuple)]
"""A list in the book, frozen."""


class Spec(BaseModel):
    """Strict, frozen base: an unknown key or a wrong type is an error, never a guess."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, allow_inf_nan=False
    )

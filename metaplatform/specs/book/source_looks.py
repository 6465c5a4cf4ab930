"""What a source's files were found to hold, as values: made by ``resources.source_looks``, judged by the rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from metaplatform.specs.book.manifest import Manifest

SLOT = 900
"""Seconds of the slots of time that rows are counted by: every time zone's days begin with one."""
MisfitKind = Literal["type", "derive", "null", "time", "key"]


@dataclass(frozen=True)
class Misfit:
    """Values of the rows looked at that do not fit the book: of which column, how many rows, and one example.

    ``kind`` is ``type`` (not of the declared type), ``derive``, ``null`` (of a key or an event timestamp),
    ``time`` (before the first partition) or ``key`` (a key that an earlier row has; ``column`` is then the first of
    the key).
    """

    kind: MisfitKind
    column: str
    rows: int
    example: str


@dataclass(frozen=True)
class SourceLook:
    """One source's files: the columns they have with their types, and what of their first rows does not fit.

    ``headers`` holds the column names of each file, by its name for people. ``columns`` are the types that
    DuckDB infers from the first rows. ``rows`` counts the rows looked at. ``fault`` tells why the files
    could not be looked at: the culprit and the fix; the rest is then empty. ``moments`` counts all rows of the files by
    the start (UTC) of the :data:`SLOT` that their event timestamp lies in; empty where that would take long.
    """

    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    misfits: tuple[Misfit, ...] = ()
    rows: int = 0
    fault: tuple[str, str] | None = None
    moments: Mapping[datetime, int] = field(default_factory=dict)


Looks = Mapping[str, SourceLook]
"""What was found, by the name of the source."""
Look = Callable[["Manifest"], Looks]
"""Looks at the files of a book's sources."""


def real_columns(looks: Looks) -> dict[str, Mapping[str, str]]:
    """Return the columns of the sources whose files could be looked at, with their types."""
    return {name: look.columns for name, look in looks.items() if look.columns}

"""What a look at a source's files finds: facts of its columns, and of the sample as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

FEW = 20
"""So many different values of a column are kept, at most."""


@dataclass(frozen=True)
class ColumnFacts:
    """What the sample says of a column.

    ``type`` is DuckDB's (VARCHAR for text files). ``values`` are neither null nor a marker, ``distinct`` counts
    those. ``fits`` names the types, and the formats of dates, that every value is of; empty for columns
    that are not text. ``markers`` counts texts that may stand for null. ``first`` and ``last`` bound a column of
    dates or moments (UTC). ``few`` holds the values, as text, if there are at most :data:`FEW`.
    """

    name: str
    type: str
    values: int
    distinct: int
    fits: frozenset[str]
    markers: Mapping[str, int]
    first: datetime | None
    last: datetime | None
    few: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """Files and the sample of their rows; ``whole`` if it holds all of them. ``unique`` names keys of the sample.

    ``twins`` are columns that say the same as the one asked about, in other words: each value goes with one of it.
    ``not_everywhere`` names columns that a file of the sample lacks.
    ``rejected`` says of the lines that are not rows how many there are, and why the first is none; empty if all are.
    """

    paths: tuple[Path, ...]
    rows: int
    whole: bool
    columns: tuple[ColumnFacts, ...]
    unique: tuple[tuple[str, ...], ...]
    delimiter: str | None = None
    rejected: str = ""
    twins: tuple[str, ...] = ()
    not_everywhere: frozenset[str] = frozenset()

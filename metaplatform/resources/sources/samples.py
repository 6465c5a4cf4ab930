"""What a look at a source's files finds: facts of its columns, and of the sample as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

FEW = 20
"""So many different values of a column are kept, at most."""


@dataclass(frozen=True)
class ColumnFacts:
    """What the sample says of a column.

    ``type`` is DuckDB's (VARCHAR for text files). ``values`` are neither null nor a marker, ``distinct`` counts
    those. ``fits`` names the types, and the formats of dates, that every value is of; empty for columns
    that are not text. ``markers`` counts texts that may stand for null; those of ``kept`` are values among the words of
    this column, and counted as such. ``first`` and ``last`` bound a column of dates or moments (UTC). ``few`` holds the
    values, as text, if there are at most :data:`FEW`; ``longest`` is the length of the longest that is not a
    marker, and ``spaced`` says whether one holds a space.
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
    kept: frozenset[str] = frozenset()
    longest: int = 0
    spaced: bool = False

    @property
    def is_measure(self) -> bool:
        """Tell whether the values are measured, with decimals: such a column names nothing."""
        if self.type.startswith(("DOUBLE", "FLOAT", "DECIMAL")):
            return True
        return bool(self.fits & {"double", "decimal comma", "thousands"}) and not self.fits & {"bigint", "digits"}


@dataclass(frozen=True)
class TimeFacts:
    """How the moments of a column lie, told from a sample whose rows are in the files' order.

    ``distinct`` counts different moments, ``clocked`` is the share of rows with a time of day, ``in_order`` the share
    of rows that are not behind their neighbour in time, ``daily`` how many rows there are a day. ``slots`` counts by
    grain (hour, day, week, month, quarter, year) how many of them have a row. Nearly all rows lie before ``mostly_by``.
    """

    distinct: int
    clocked: float
    in_order: float
    daily: float
    slots: Mapping[str, int]
    mostly_by: datetime


@dataclass(frozen=True)
class Sample:
    """Files and the sample of their rows; ``whole`` if it holds all of them. ``unique`` names keys of the sample.

    ``twins`` are columns that say the same as the one asked about, in other words: each value goes with one of it.
    ``not_everywhere`` names columns that a file of the sample lacks, where each should have all of them. ``inferred``
    says whether DuckDB has told the types from the values, and not the files.
    ``rejected`` says of the lines that are not rows how many there are, and why the first is not; empty if all are.
    """

    paths: tuple[Path, ...]
    rows: int
    whole: bool
    columns: tuple[ColumnFacts, ...]
    unique: tuple[str, ...]
    composite: tuple[tuple[str, ...], ...] = ()
    numbered: frozenset[str] = frozenset()
    times: Mapping[str, TimeFacts] = field(default_factory=dict)
    earlier: frozenset[tuple[str, str]] = frozenset()
    delimiter: str | None = None
    inferred: bool = False
    rejected: str = ""
    twins: tuple[str, ...] = ()
    not_everywhere: frozenset[str] = frozenset()

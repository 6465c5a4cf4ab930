"""Texts that stand for nothing in a source's files: which of them are read as null everywhere, and which are not."""

from collections.abc import Collection, Iterable, Sequence

from metaplatform.resources.sources.column_facts import MARKERS
from metaplatform.resources.sources.samples import ColumnFacts
from metaplatform.sql.dialect import literal

_SHORT_WORDS = 3
"""Where no word of a column is longer, `NA` and `-` are words like the others."""


def file_wide(columns: Sequence[ColumnFacts]) -> tuple[str, ...]:
    """Return the marks that can be read as null in every column.

    That are those that hold the place of a number, a date and so on in some column, or stand for nothing in any. One
    that is a word of its own in another column is not among them: it would be lost there.
    """
    wanted = {mark for column in columns for mark in column.markers if mark not in column.kept}
    words = {mark for column in columns for mark in column.kept if _is_word(column, mark)}
    return tuple(mark for mark in MARKERS if mark and mark in wanted - words)


def left_over(column: ColumnFacts, everywhere: Collection[str]) -> tuple[str, ...]:
    """Return the marks of a column that its own expression has to read as null: those that are not read so anyway."""
    return tuple(mark for mark in column.markers if mark and mark not in column.kept and mark not in everywhere)


def without(column: str, marks: Iterable[str]) -> str:
    """Return SQL of the column with each of the marks as null."""
    for mark in marks:
        column = f"nullif({column}, {literal(mark)})"
    return column


def _is_word(column: ColumnFacts, mark: str) -> bool:
    """Tell whether a mark is a value among the words of a column: one as short, or one about as frequent."""
    share, fair = column.markers[mark] / column.values, 1 / column.distinct
    return column.longest <= max(_SHORT_WORDS, len(mark)) or (bool(column.few) and share >= fair / 2)

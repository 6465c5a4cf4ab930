"""Which columns name a row, of those that are unique in a sample: as a person would choose."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metaplatform.resources.sources.samples import ColumnFacts, Sample

_NAMED = re.compile(r"(^|[^a-z])(id|key|no|nr|num|number|nummer|code|uid|uuid|guid|sku|ref)([^a-z]|$)")
_FIRST, _NUMBERED, _CODE, _HINT, _WORDS, _TIME = 2.0, 2.0, 1.5, 1.0, -1.0, -4.0
_CONVINCING = 1.5
_TIGHT = 2.0
_NEARLY, _LONGEST_LABEL = 0.7, 60
_RECURRING = 3
"""Values recur where there are so many rows for each of them."""


@dataclass(frozen=True)
class Key:
    """The columns that name a row, empty if none do; ``others`` would do too."""

    columns: tuple[str, ...]
    others: tuple[tuple[str, ...], ...] = ()

    @property
    def single(self) -> bool:
        """Tell whether one column names a row."""
        return len(self.columns) == 1


def choose_key(sample: Sample) -> Key:
    """Return the key that a person would choose: an id, or else what a row is about and when."""
    facts = {column.name: column for column in sample.columns}
    order = list(facts)
    worth = {name: _worth(facts[name], sample, order.index(name)) for name in sample.unique}
    singles = sorted(worth, key=lambda name: -worth[name])
    tight = [key for key in sample.composite if _is_tight(key, facts, sample.rows)]
    if singles and worth[singles[0]] < _CONVINCING and tight:
        # Measured numbers and moments that happen not to repeat name nothing, where others do.
        return Key(tight[0], tuple((name,) for name in singles))
    if not singles:
        return Key(sample.composite[0], sample.composite[1:]) if sample.composite else Key(())
    best = singles[0]
    whose = _whose(sample, order) if facts[best].first else None
    if whose is not None:
        return Key((whose, best), ((best,),))
    return Key((best,), tuple((name,) for name in singles[1:]))


def is_label(column: ColumnFacts, rows: int) -> bool:
    """Tell whether a column of words nearly names the rows: a name, a title, an address."""
    words = column.type == "VARCHAR" and not column.fits and not column.kept
    return words and column.distinct >= _NEARLY * rows and column.longest <= _LONGEST_LABEL


def _worth(column: ColumnFacts, sample: Sample, place: int) -> float:
    """Return how much speaks for a unique column as the key."""
    worth = _FIRST if place == 0 else -0.01 * place
    worth += _NUMBERED if column.name in sample.numbered else 0
    worth += _TIME if column.first else 0
    words = column.type == "VARCHAR" and not column.fits
    if words:
        worth += _WORDS if is_label(column, sample.rows) and column.spaced else _CODE
    return worth + (_HINT if _NAMED.search(_plain(column.name)) else 0)


def _plain(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _is_tight(key: Sequence[str], facts: Mapping[str, ColumnFacts], rows: int) -> bool:
    combined = 1
    for name in key:
        combined *= facts[name].distinct
    return combined <= _TIGHT * rows


def _whose(sample: Sample, order: Sequence[str]) -> str | None:
    """Return the first column if it says whose a moment is: others will have something at the same moment too."""
    first = next(column for column in sample.columns if column.name == order[0])
    recurs = 1 < first.distinct <= sample.rows / _RECURRING and first.values == sample.rows
    return first.name if recurs and not first.first and not first.is_measure else None

"""What a table is, told from how its rows lie in time: a stream of what happens, or a dimension of things there are.

A stream has an event timestamp and partitions. A dimension may have dates too, such as the day on which a shop was
opened: they are facts of a thing, and no partition is made of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from metaplatform.resources.sources.samples import Sample, TimeFacts
from metaplatform.scaffolding.columns import ColumnGuess
from metaplatform.scaffolding.keys import Key, is_label
from metaplatform.specs.entities.ingestion import Source
from metaplatform.specs.fields.duration import Duration
from metaplatform.text.plurals import counted

_OF_THINGS = re.compile(
    r"birth|born|dob|geburt|open(ed|ing)|eroeffn|eröffn|found|built|baujahr|establish|launch|since|seit|regist|creat|"
    r"hired|hire_|joined|introduc|release|expir|valid|holiday|feiertag"
)
_OF_EVENTS = re.compile(
    r"order|sold|sale|happen|occur|event|measur|record|reading|timestamp|(^|_)(ts|time|zeit)($|_)|logged|paid|payment|"
    r"visit|transact|buchung|bestell|gemessen|pickup|depart|arriv"
)
_DAY = timedelta(days=1)
_SPARSE = ((1.0, 2.0), (0.2, 1.0), (1 / 30, 0.0), (1 / 180, -2.0))
"""From so many rows a day on, that much speaks for a stream."""
_SPARSEST = -3.0
_LIFETIME = timedelta(days=30 * 365)
_ENOUGH, _FEW_SLOTS = 20, 5
_COVERED, _MOSTLY = 0.6, 0.95
_SLOT_DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 30.44, "quarter": 91.3, "year": 365.25}
_UNSURE = 1.0
"""Where no more than that speaks for either, a name that tells decides."""


@dataclass(frozen=True)
class Moments:
    """A column with a moment for every row, how these lie, what speaks for a stream of events, and why."""

    guess: ColumnGuess
    facts: TimeFacts
    first: datetime
    last: datetime
    score: float
    why: str

    @property
    def grain(self) -> str | None:
        """Return the grain of a regular series, such as day or month: None if it is not one."""
        return _grain(self.facts, self.last - self.first)


@dataclass(frozen=True)
class TableRole:
    """The columns with moments, that of the events first. ``is_stream`` says whether there are events at all."""

    moments: tuple[Moments, ...]
    is_stream: bool

    @property
    def why(self) -> str:
        """Return what tells the role, in words."""
        return self.moments[0].why if self.moments else ""


def role_of(sample: Sample, guesses: Sequence[ColumnGuess], key: Key, *, by_file: bool, now: datetime) -> TableRole:
    """Return the table's role; ``by_file`` says that its files are named by day or month."""
    found = [_moments(sample, guess, key, by_file=by_file, now=now) for guess in guesses if guess.name in sample.times]
    moments = [each for each in found if each is not None]
    if not moments:
        return TableRole((), is_stream=False)
    best = max(each.score for each in moments)
    near = [each for each in moments if each.score >= best - _UNSURE and each.score > 0] or [
        each for each in moments if each.score == best
    ]
    # Of moments of one row, what happens comes before what follows from it.
    chosen = min(near, key=lambda each: (-_followers(each, near, sample), -each.score))
    return TableRole((chosen, *(each for each in moments if each is not chosen)), is_stream=chosen.score > 0)


def _followers(one: Moments, among: Sequence[Moments], sample: Sample) -> int:
    return sum((one.guess.name, other.guess.name) in sample.earlier for other in among)


def _moments(sample: Sample, guess: ColumnGuess, key: Key, *, by_file: bool, now: datetime) -> Moments | None:
    if guess.time is None or guess.first is None or guess.last is None or not guess.full:
        return None
    facts = sample.times[guess.name]
    found = Moments(guess, facts, guess.first, guess.last, 0.0, "")
    evidence = _evidence(sample, found, key, by_file=by_file, now=now)
    score = sum(evidence.values())
    if abs(score) <= _UNSURE and not _ahead(facts, now):
        score += _named(guess.name)
    side = [(abs(weight), why) for why, weight in evidence.items() if (weight > 0) == (score > 0) and weight]
    why = ", ".join(text for _, text in sorted(side, reverse=True)[:2])
    return Moments(guess, facts, guess.first, guess.last, score, why)


def _evidence(sample: Sample, found: Moments, key: Key, *, by_file: bool, now: datetime) -> Mapping[str, float]:
    """Return what speaks for a stream, and against it, with its weight."""
    facts, span, rows = found.facts, found.last - found.first, sample.rows
    clocked = facts.clocked >= _MOSTLY / 2
    told = {
        "the files are named by day or month": 3.0 * by_file,
        "its moments have a time of day": 2.0 * clocked,
        _pace(facts): next((weight for least, weight in _SPARSE if facts.daily >= least), _SPARSEST),
        "it lies in the future": -9.0 * _ahead(facts, now),
        "all rows have the same moment": -2.0 * (facts.distinct == 1 and len(sample.times) > 1),
        "rows are in its order": (facts.in_order >= _MOSTLY) * (rows >= _ENOUGH) * 1.0,
        "rows are not in its order": -0.5 * (facts.in_order < _COVERED),
    }
    told |= _evidence_of_key(sample, found, key, clocked=clocked)
    labels = [each for each in sample.columns if (each.name,) != key.columns and is_label(each, rows)]
    told[f"{labels[0].name} names a thing" if labels else ""] = -float(
        sum(2 if each.distinct == rows else 1 for each in labels[:2])
    )
    lifelong = span > _LIFETIME and key.single and found.guess.name not in key.columns and not clocked
    told[f"it spans {span.days // 365} years"] = -3.0 * lifelong
    return told


def _evidence_of_key(sample: Sample, found: Moments, key: Key, *, clocked: bool) -> Mapping[str, float]:
    """Return what the key says: an id of a thing, what a thing did at a moment, or the moment itself."""
    facts, span, rows = found.facts, found.last - found.first, sample.rows
    regular = _grain(facts, span) is not None
    told = {"it is a regular series": 3.0 * regular}
    measured = any(column.is_measure for column in sample.columns)
    if found.guess.name not in key.columns and key.single:
        return {**told, f"{key.columns[0]} alone names a row": -1.0, "it has measured numbers": 0.5 * measured}
    if regular or clocked:
        return {**told, "a row is known by its moment too": 1.0 * (found.guess.name in key.columns)}
    covered = facts.slots["day"] / (span.days + 1)
    if key.single or (facts.distinct <= rows / 2 and covered < _COVERED / 2 and not _counts(sample, key)):
        return {**told, "its days are few and far between, and nothing is counted": -3.0}
    return {**told, "a row is known by its moment too": 2.0}


def _counts(sample: Sample, key: Key) -> bool:
    """Tell whether the table has numbers besides what names its rows."""
    return any(
        column.is_measure or "bigint" in column.fits or column.type.endswith("INT") or column.type == "INTEGER"
        for column in sample.columns
        if column.name not in key.columns and not column.first
    )


def _grain(facts: TimeFacts, span: timedelta) -> str | None:
    """Return the grain at which each moment has a slot of its own, and most slots have a moment."""
    for grain, occupied in facts.slots.items():
        slots = span / _DAY / _SLOT_DAYS[grain] + 1
        if occupied >= _FEW_SLOTS and facts.distinct <= occupied and occupied >= _COVERED * slots:
            return grain
    return None


def _ahead(facts: TimeFacts, now: datetime) -> bool:
    ahead: Duration = Source.model_fields["max_ahead"].default
    return facts.mostly_by.replace(tzinfo=UTC) > ahead.behind(now)


def _named(name: str) -> float:
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return 2 * _UNSURE * (bool(_OF_EVENTS.search(text)) - bool(_OF_THINGS.search(text)))


def _pace(facts: TimeFacts) -> str:
    if facts.daily >= 1:
        return f"about {counted(round(facts.daily), 'row')} a day"
    return f"a row in {counted(round(1 / facts.daily), 'day')}"

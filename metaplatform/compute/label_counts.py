"""How many labels there are, and what a training would be made of: asked by the retrain policy and by the trainer.

Labels are counted by the hour, by the minute where the holdout is shorter than a day; every bound of a training
lies on such a step, so that the counts are those of its rows, to the row.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import ceil, inf

from metaplatform.compute.evaluation import constant_labels
from metaplatform.compute.splitting import Bounds, floored, split_bounds
from metaplatform.specs.entities.training import ModelSpec, TrainingSpec
from metaplatform.specs.fields.partitions import Window

_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)
_FINE_BELOW = timedelta(days=1)
LEAST_NEW_SHARE = 0.01
"""Of the labelled rows in the training window; fewer new ones make nearly the same version again."""


@dataclass(frozen=True)
class Tally:
    """Usable labels of a span: how many rows, and the smallest and largest label among them."""

    rows: int = 0
    least: float = inf
    greatest: float = -inf

    def __add__(self, other: "Tally") -> "Tally":
        """Return the tally of both spans together."""
        return Tally(self.rows + other.rows, min(self.least, other.least), max(self.greatest, other.greatest))

    @property
    def constant(self) -> bool:
        """Return whether there is one label only: one class, or nothing to explain."""
        return self.rows > 0 and self.least == self.greatest


NOTHING = Tally()


def counting_step(spec: TrainingSpec) -> timedelta:
    """Return the length of the spans that labels are counted by; cut and holdout begin on full ones."""
    return _MINUTE if spec.holdout.shortest < _FINE_BELOW else _HOUR


class LabelCounts:
    """The labels of a model, known by now or not, in steps of :func:`counting_step`.

    ``since`` and ``until`` bound the data: the start of the first partition that has labels, the end of the last.
    """

    def __init__(
        self, step: timedelta, spans: Iterable[tuple[datetime, Tally]], *, within: Window | None = None
    ) -> None:
        """Take the tally of each step by its start; a step may come more than once. ``within`` bounds the data."""
        tallies: dict[datetime, Tally] = {}
        for start, tally in spans:
            if tally.rows:
                tallies[start] = tallies.get(start, NOTHING) + tally
        self.step = step
        self._starts = sorted(tallies)
        self._tallies = [tallies[start] for start in self._starts]
        self._rows = [0, *accumulate(tally.rows for tally in self._tallies)]
        first, last = (self._starts[0], self._starts[-1] + step) if self._starts else (None, None)
        self.since, self.until = (within.start, within.end) if within else (first, last)

    def between(self, start: datetime, end: datetime) -> Tally:
        """Return the tally of ``[start, end)``, both of which lie on full steps."""
        found = slice(bisect_left(self._starts, start), bisect_left(self._starts, end))
        return sum(self._tallies[found], NOTHING)

    def rows(self, start: datetime, end: datetime) -> int:
        """Return the number of labels in ``[start, end)``."""
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
        return self._rows[max(first, last)] - self._rows[first]

    def cut(self, mature: datetime) -> datetime | None:
        """Return the end of the newest step with labels of which all are known where those before ``mature`` are."""
        known = bisect_left(self._starts, floored(mature, self.step))
        return self._starts[known - 1] + self.step if known else None


def evenly(window: Window, rows: int, step: timedelta) -> Iterable[tuple[datetime, Tally]]:
    """Yield ``rows`` spread over a window: what is taken for true of rows that no run has counted yet."""
    start = floored(window.start, step)
    steps = max(1, ceil((window.end - start) / step))
    for number in range(steps):
        share = rows * (number + 1) // steps - rows * number // steps
        yield start + number * step, Tally(share, -inf, inf)


@dataclass(frozen=True)
class Learnt:
    """What the newest version of a model was made from: ``rows`` labelled rows in ``[start, cut)``, None if unknown."""

    start: datetime
    cut: datetime
    rows: int | None = None


@dataclass(frozen=True)
class Prospect:
    """What a training now would be made of.

    ``training`` are the rows before the holdout, ``holdout`` those in it; ``compared`` those of the holdout that
    the champion has not seen either, None without a champion. ``new_rows`` have come since the newest version's
    cut, or late for the time before it. ``data`` is from when to when there are data, window or not.
    """

    bounds: Bounds
    data: Window
    training: Tally
    holdout: Tally
    compared: Tally | None
    new_rows: int

    @property
    def rows(self) -> int:
        """Return all labelled rows of the window."""
        return self.training.rows + self.holdout.rows


def prospect(
    model: ModelSpec,
    counts: LabelCounts,
    mature: datetime,
    *,
    learnt: Learnt | None = None,
    unseen_since: datetime | None = None,
) -> Prospect | None:
    """Return what a training would be made of where labels before ``mature`` are known; None without any.

    ``learnt`` tells of the newest version, ``unseen_since`` from where on the champion has seen no row.
    """
    cut = counts.cut(mature)
    if cut is None or counts.since is None or counts.until is None:
        return None
    bounds = split_bounds(model.training, cut=cut, step=counts.step)
    held = counts.between(bounds.holdout_start, cut)
    compared = None
    if unseen_since is not None:
        compared = counts.between(max(bounds.holdout_start, _ceiled(unseen_since, counts.step)), cut)
    return Prospect(
        bounds=bounds,
        data=Window(counts.since, max(cut, min(mature, counts.until))),
        training=counts.between(bounds.start, bounds.holdout_start),
        holdout=held,
        compared=compared,
        new_rows=_new_rows(counts, bounds, learnt),
    )


@dataclass(frozen=True)
class Shortfall:
    """Why a training would come to nothing: ``rows`` of those ``needed``, of one ``kind``, as a ``text`` for people."""

    kind: str
    text: str
    rows: int = 0
    needed: int = 1


def shortfall(model: ModelSpec, found: Prospect) -> Shortfall | None:
    """Return why a training would come to nothing, None if nothing is amiss.

    It must have rows to learn from; where there is a champion also enough that is new, and rows to compare on.
    """
    if found.compared is None:
        return _unlearnable(model, found.training)
    return _too_little_new(model, found) or _unlearnable(model, found.training) or _incomparable(model, found.compared)


def _unlearnable(model: ModelSpec, training: Tally) -> Shortfall | None:
    rows, least = training.rows, model.training.min_rows
    if rows < least:
        text = f"only {rows:,} of {least:,} labelled rows before the holdout (training.min_rows)"
        return Shortfall("rows", text, rows, least)
    if model.task == "binary" and training.constant:
        return Shortfall("class", f"all {rows:,} labels before the holdout are {training.least:g}: one class only")
    return None


def _incomparable(model: ModelSpec, compared: Tally) -> Shortfall | None:
    least, metric = model.promotion.min_rows, model.promotion.metric
    if compared.rows < least:
        text = f"only {compared.rows:,} of {least:,} labelled rows to compare with the champion on (promotion.min_rows)"
        return Shortfall("compared", text, compared.rows, least)
    if compared.constant and (why := constant_labels(metric, compared.rows, compared.least)):
        return Shortfall("class", f"{metric} cannot be compared: {why}")
    return None


def _too_little_new(model: ModelSpec, found: Prospect) -> Shortfall | None:
    asked = model.retrain.min_new_rows if model.retrain else None
    needed = max(1, ceil(found.rows * LEAST_NEW_SHARE)) if asked is None else asked
    if found.new_rows >= needed:
        return None
    text = f"only {found.new_rows:,} of {needed:,} new labelled rows since the last training (retrain.min_new_rows)"
    if not found.new_rows:
        text = "no label has matured since the last training"
    return Shortfall("new", text, found.new_rows, needed)


def tallies_of(counted: Mapping[int, Tally], step: timedelta) -> Iterable[tuple[datetime, Tally]]:
    """Yield tallies by the moment that each step begins; steps are numbered from 1970 on."""
    for number, tally in counted.items():
        yield datetime.fromtimestamp(0, UTC) + number * step, tally


def _new_rows(counts: LabelCounts, bounds: Bounds, learnt: Learnt | None) -> int:
    if learnt is None:
        return counts.rows(bounds.start, bounds.cut)
    since = floored(learnt.cut, counts.step)
    late = 0 if learnt.rows is None else counts.rows(floored(learnt.start, counts.step), since) - learnt.rows
    return counts.rows(since, bounds.cut) + max(0, late)


def _ceiled(moment: datetime, step: timedelta) -> datetime:
    start = floored(moment, step)
    return start if start == moment else start + step

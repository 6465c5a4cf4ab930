"""Which rows a version learns from, which stop its boosting, and which judge it: split by time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis

from metaplatform.compute.chosen_rows import within
from metaplatform.errors import DataError
from metaplatform.specs.entities.training import TrainingSpec

_NEXT_INSTANT = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = 8


@dataclass(frozen=True)
class Bounds:
    """Training takes event timestamps in [start, holdout_start), the holdout those in [holdout_start, cut)."""

    start: datetime
    holdout_start: datetime
    cut: datetime


@dataclass(frozen=True)
class Split:
    """The rule that sorts rows into training, validation and holdout; any row is in one of them at most.

    The three follow each other in time. ``validation_start`` is None where all training rows share one instant:
    then a digest of ``keys`` decides which ``validation_share`` of them validates.
    """

    keys: tuple[str, ...]
    validation_share: float
    event_timestamp: str
    bounds: Bounds
    validation_start: datetime | None

    def training(self, frame: ibis.Table) -> ibis.Table:
        """Return the rows to learn from."""
        return self._before_holdout(frame).filter(lambda rows: ~self._validates(rows))

    def validation(self, frame: ibis.Table) -> ibis.Table:
        """Return the rows that stop the boosting: the newest of those before the holdout."""
        return self._before_holdout(frame).filter(self._validates)

    def holdout(self, frame: ibis.Table) -> ibis.Table:
        """Return the rows that neither training nor validation has seen."""
        return within(frame, self.event_timestamp, self.bounds.holdout_start, self.bounds.cut)

    def _before_holdout(self, frame: ibis.Table) -> ibis.Table:
        return within(frame, self.event_timestamp, self.bounds.start, self.bounds.holdout_start)

    def _validates(self, rows: ibis.Table) -> Any:
        if self.validation_start is None:
            return _share(rows, self.keys, self.validation_share)
        return rows[self.event_timestamp] >= ibis.literal(self.validation_start)


def split_bounds(spec: TrainingSpec, *, cut: datetime, step: timedelta = _NEXT_INSTANT) -> Bounds:
    """Return the bounds before ``cut``; window and holdout begin on full steps, counted from 1970 on.

    Raises:
        DataError: if the holdout leaves nothing to train on.
    """
    start, holdout_start = (floored(span.before(cut), step) for span in (spec.window, spec.holdout))
    if holdout_start <= start:
        raise DataError(
            owner="training",
            culprit=f"a holdout of {spec.holdout} leaves nothing of a window of {spec.window} to train on",
            fix="shorten training.holdout, or widen training.window",
        )
    return Bounds(start, holdout_start, cut)


def floored(moment: datetime, step: timedelta) -> datetime:
    """Return the start of the step that holds ``moment`` (UTC); steps are counted from 1970 on."""
    return moment - (moment - _EPOCH) % step


def boundary_query(frame: ibis.Table, bounds: Bounds, *, event_timestamp: str, validation_share: float) -> ibis.Table:
    """Return the query behind :func:`timed_split`: one row of ``first``, ``last`` and ``boundary`` instants."""
    rows = within(frame, event_timestamp, bounds.start, bounds.holdout_start)
    time = rows[event_timestamp]
    return rows.agg(first=time.min(), last=time.max(), boundary=time.quantile(1 - validation_share))


def timed_split(
    spec: TrainingSpec, bounds: Bounds, boundary: Mapping[str, Any], *, event_timestamp: str, keys: Sequence[str]
) -> Split:
    """Return the split by time; ``boundary`` is the row of :func:`boundary_query`.

    Rows of one instant stay together: on the boundary they validate.
    """
    first, last, start = boundary["first"], boundary["last"], boundary["boundary"]
    if start is None or first == last:
        start = None
    elif start == first:
        start = first + _NEXT_INSTANT
    return Split(tuple(keys), spec.validation_share, event_timestamp, bounds, start)


def _share(rows: ibis.Table, keys: Sequence[str], share: float) -> Any:
    """Tell whether a row falls into a share of all, by the MD5 of its keys (all columns, if it has none)."""
    texts = [rows[name].cast("string").fill_null("") for name in keys or rows.columns]
    separator: Any = ibis.literal("\x1f")
    digest = separator.join([ibis.literal("validation"), *texts]).hexdigest("md5").left(_DIGITS)
    return digest < ibis.literal(f"{int(share * 16**_DIGITS):0{_DIGITS}x}")

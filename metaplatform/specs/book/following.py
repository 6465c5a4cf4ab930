"""Which new rows an orchestrator can follow that compares whole partitions, and no spans of time in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from metaplatform.specs.fields.partitions import EARLIEST, LATEST, PartitionSpec, Window
from metaplatform.specs.fields.reads import Reach, Reads

_MOST = 99
"""Dagster compares at most so many partitions of an input; where more are mapped it compares none."""
_IN_ONE = {("hour", "day"): 24, ("hour", "month"): 744, ("day", "month"): 31}
"""Partitions of an input in one of its reader."""
_MONTHS = tuple(datetime(2023 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(24))
NOTHING = (1, 0)
"""Offsets that no partition lies between."""


@dataclass(frozen=True)
class Followed:
    """What of an input makes its reader stale, as far as whole partitions can tell.

    ``offsets`` are the first and the last partition around the reader's own, in its units; ``NOTHING``: none of them.
    None where one of the two has no partitions. ``exact`` is whether that is what the records of what was made tell.
    """

    offsets: tuple[int, int] | None
    exact: bool


class Following:
    """What the assets of a book follow of each other's rows."""

    def __init__(
        self,
        tracked: Mapping[str, Reads],
        upstream: Mapping[str, tuple[str, ...]],
        partitions: Callable[[str], PartitionSpec | None],
    ) -> None:
        """Take what makes each reader stale (``tracked``), and all that it stands behind (``upstream``)."""
        self._tracked, self._partitions = tracked, partitions
        self._not_whole = {
            other
            for ref, others in upstream.items()
            for other in others
            if not any(reach.kind == "whole" for reach in tracked[ref].get(other, ()))
        }

    def counts(self, ref: str) -> bool:
        """Tell whether new rows of an asset are to be told.

        Without partitions they would make all of every reader stale, which is so only where each reads all of it.
        """
        return self._partitions(ref) is not None or ref not in self._not_whole

    def of(self, ref: str, other: str) -> Followed:
        """Return what ``ref`` follows of ``other``, which it stands behind."""
        reaches = self._tracked.get(ref, {}).get(other, ())
        own, scheme = self._partitions(ref), self._partitions(other)
        if scheme is None:
            return Followed(None, exact=self.counts(other) == bool(reaches))
        if own is None or own.timezone != scheme.timezone:
            return Followed(None, exact=not reaches)
        if not reaches:
            return Followed(NOTHING, exact=True)
        first, last = _offsets(reaches, own)
        room = _MOST // _IN_ONE.get((scheme.every, own.every), 1) - 1
        end = min(last, max(room // 2, room + first))
        start = max(first, end - room)
        same = own.every == scheme.every or (first, last) == (0, 0)
        return Followed((start, end), exact=same and room >= 0 and (start, end) == (first, last))

    def untold(self, ref: str) -> tuple[str, ...]:
        """Return the inputs of whose new rows whole partitions do not tell what they make stale of ``ref``."""
        return tuple(other for other in self._tracked.get(ref, {}) if not self.of(ref, other).exact)


@lru_cache
def _offsets(reaches: tuple[Reach, ...], own: PartitionSpec) -> tuple[int, int]:
    """Return the first and the last partition that any of the reaches touches; months count as the longest."""
    nominal = PartitionSpec(every=own.every, start=own.start)
    found = [_reached(reach, start, nominal) for reach in reaches for start in _MONTHS]
    return min(first for first, _ in found), max(last for _, last in found)


def _reached(reach: Reach, start: datetime, scheme: PartitionSpec) -> tuple[int, int]:
    window = Window(start, scheme.after(start))
    read = reach.interval(window)
    own, instant = _number(start, scheme), timedelta(microseconds=1)
    end = LATEST if read.end == LATEST else max(read.end - instant, EARLIEST)
    return _number(read.start, scheme) - own, _number(end, scheme) - own


def _number(moment: datetime, scheme: PartitionSpec) -> int:
    """Return which partition since the year 1 holds a moment."""
    if scheme.every == "month":
        return moment.year * 12 + moment.month
    return moment.toordinal() * 24 + moment.hour if scheme.every == "hour" else moment.toordinal()

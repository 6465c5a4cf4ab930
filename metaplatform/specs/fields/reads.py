"""What the result of one entity is computed from, and how much of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from metaplatform.chapters import MODELS
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import EARLIEST, LATEST, Window

_NOTHING = Duration()
_LONGEST_CLAMP = Duration(seconds=4 * 86_400)
"""More than a month's end is moved by when months are added or taken away."""


@dataclass(frozen=True)
class Reach:
    """How much of an input one partition is made from.

    ``same``: the same partition. ``span``: the rows from ``back`` before the partition's start (None: all that lie
    before) to ``ahead`` after its end, less ``delay``. ``whole``: all there is. ``as_made``: all there is at that
    moment, and what comes later does not count.
    """

    kind: Literal["same", "span", "whole", "as_made"]
    back: tuple[Duration, ...] | None = ()
    ahead: Duration = _NOTHING
    delay: Duration = _NOTHING

    def interval(self, window: Window) -> Window:
        """Return the event timestamps that a partition with ``window`` may read."""
        if self.kind == "same":
            return window
        if self.kind != "span":
            return Window(EARLIEST, LATEST)
        try:
            start = EARLIEST if self.back is None else window.start
            for duration in self.back or ():
                start = duration.before(start)
            end = window.end if self.delay.months else self.delay.before(self.ahead.behind(window.end))
        except (ValueError, OverflowError):  # at the ends of the calendar
            return Window(EARLIEST, LATEST)
        return Window(start, max(start, end))


SAME, WHOLE, AS_MADE = Reach("same"), Reach("whole"), Reach("as_made")
SAME_ONLY = (SAME,)
Reads = Mapping[str, tuple[Reach, ...]]
"""Input → how much of it is read, by each of those who read it."""


def rows_followed(ref: str, reads: Reads) -> dict[str, tuple[Reach, ...]]:
    """Return of what ``ref`` reads whose new rows make it stale: all but what is read as it is when it is made.

    Nothing makes a model stale, nor a model what it scores: new data, and new versions, are a matter of policies.
    """
    followed = {
        other: tuple(reach for reach in reaches if reach.kind != "as_made")
        for other, reaches in reads.items()
        if not MODELS.holds(ref) and not MODELS.holds(other)
    }
    return {other: reaches for other, reaches in followed.items() if reaches}


def looked_back(window: Window, *, back: tuple[Duration, ...]) -> Window:
    """Return the window with its start moved back by durations: at least what rows in it can look back on."""
    return Window(Reach("span", from_any_row(back)).interval(window).start, window.end)


def from_any_row(back: tuple[Duration, ...]) -> tuple[Duration, ...]:
    """Return durations that reach at least as far back from a window's start as these do from any row in it."""
    return (*back, *(_LONGEST_CLAMP for duration in back if duration.months))

"""What a partition was made from, in one token: the contents of its inputs within its reach, from records alone."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import accumulate

from metaplatform.naming import stable_id
from metaplatform.specs.book.builds import Built, BuiltPartition
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.partitions import PartitionSpec, Window
from metaplatform.specs.fields.reads import Reach, rows_followed

_MODULUS = 1 << 64


class Contents:
    """The contents of everything that was made, by time; a token costs the same however much a reach holds."""

    def __init__(self, manifest: Manifest, built: Mapping[str, Built]) -> None:
        """Look at nothing yet; ``built`` is what the records say, by reference."""
        self._manifest, self._built = manifest, built
        self._held: dict[tuple[str, str], _Held] = {}
        self._inputs: dict[str, list[tuple[str, _Held, tuple[Reach, ...]]]] = {}

    def read(self, ref: str, partition: str) -> dict[str, str]:
        """Return the token of each input of a partition whose new rows make it stale, as it is now."""
        scheme = self._manifest.partitions(ref)
        if ref not in self._inputs:
            found = rows_followed(ref, self._manifest.reads(ref))
            self._inputs[ref] = [(other, self._holding(other, scheme), reaches) for other, reaches in found.items()]
        window = scheme.window(partition) if scheme and partition else None
        return {other: _token(held, partition, window, reaches) for other, held, reaches in self._inputs[ref]}

    def _holding(self, other: str, reader: PartitionSpec | None) -> "_Held":
        own = self._manifest.partitions(other)
        scheme = own or reader
        key = (other, scheme.calendar if scheme else "")
        if key not in self._held:
            built = self._built.get(other)
            self._held[key] = _Held(built.partitions if built else {}, scheme)
        return self._held[key]


def _token(held: "_Held", partition: str, window: Window | None, reaches: tuple[Reach, ...]) -> str:
    parts = [held.total if window is None else held.within(reach, partition, window) for reach in reaches]
    return "+".join(f"{part:016x}" for part in parts)


class _Held:
    """What one table holds, in order of time, with sums before each period; each worked out when it is asked for."""

    def __init__(self, partitions: Mapping[str, BuiltPartition], scheme: PartitionSpec | None) -> None:
        self._partitions, self._scheme = partitions, scheme

    @cached_property
    def total(self) -> int:
        return sum(_number(key, made.content) for key, made in self._partitions.items()) % _MODULUS

    def within(self, reach: Reach, partition: str, window: Window) -> int:
        if reach.kind == "same":
            made = self._partitions.get(partition)
            return _number(partition, made.content) if made else 0
        if reach.kind == "whole":
            return self.total
        starts, ends, sums, timeless = self._timed
        wanted = reach.interval(window)
        # Periods of one scheme follow one another, so that starts and ends are both in order.
        first, last = bisect_right(ends, wanted.start), bisect_left(starts, wanted.end)
        found = sums[last] - sums[first] if first < last else 0
        return (found + timeless) % _MODULUS

    @cached_property
    def _timed(self) -> tuple[list[datetime], list[datetime], list[int], int]:
        """Return starts, ends and sums of the periods; and of what cannot be told apart by time, for every span."""
        periods = [] if self._scheme is None else list(_periods(self._partitions, self._scheme))
        timeless = sum(number for window, number in periods if window is None)
        timed = sorted((window.start, window.end, number) for window, number in periods if window is not None)
        sums = [0, *accumulate(number for _, _, number in timed)]
        return [start for start, _, _ in timed], [end for _, end, _ in timed], sums, timeless


def _periods(partitions: Mapping[str, BuiltPartition], scheme: PartitionSpec) -> Iterable[tuple[Window | None, int]]:
    calendar = scheme.calendar
    for key, made in partitions.items():
        told = made.periods.get(calendar) if made.periods else None
        for each, content in ((key, made.content),) if told is None else told.items():
            try:
                window = scheme.window(each)
            except (ValueError, OverflowError):
                yield None, _number(each, content)
            else:
                yield window, _number(each, content)


@lru_cache(maxsize=262_144)
def _number(key: str, content: str) -> int:
    """Return 64 bits of a period and what it holds; nothing at all is 0, as if the period were not there."""
    return int(stable_id(key, content), 16) if content else 0

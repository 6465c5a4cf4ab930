"""Time partitions: one declaration at the source, flowing downstream."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from metaplatform.specs.fields.base import Spec

_FIRST_YEAR = 1000
"""Earlier ones Python writes with fewer than four digits, and Dagster with it."""
_FORMATS = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m"}


@dataclass(frozen=True)
class Window:
    """A half-open span of UTC instants ``[start, end)``."""

    start: datetime
    end: datetime

    def overlaps(self, other: "Window") -> bool:
        """Tell whether a moment lies in both."""
        return self.start < other.end and other.start < self.end


EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class PartitionSpec(Spec):
    """Partitions by event timestamp: ``every`` hour, day or month of ``timezone``, from ``start`` (a key)."""

    every: Literal["hour", "day", "month"]
    start: str
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            # A folder of the zone database (`Europe`) or too long a name is an error of the file system's.
            raise ValueError(f"'{value}' is not an IANA time zone such as 'Europe/Berlin'") from error
        return value

    @model_validator(mode="after")
    def _start_is_a_key(self) -> "PartitionSpec":
        if self.every == "hour" and self.timezone != "UTC":
            raise ValueError("hourly partitions need timezone UTC: local hours repeat when clocks go back")
        try:
            year = datetime.strptime(self.start, self.format).replace(tzinfo=UTC).year
            if year >= _FIRST_YEAR:
                self.window(self.start)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"start '{self.start}' is not a valid {self.every}, written as {self.format}") from error
        if year < _FIRST_YEAR:
            message = "start '{start}' lies before the year {first}, and Dagster names no partitions of such years"
            raise PydanticCustomError("too_early", message, {"start": self.start, "first": _FIRST_YEAR})
        return self

    @property
    def format(self) -> str:
        """Return the strftime form of a partition key."""
        return _FORMATS[self.every]

    def window(self, key: str) -> Window:
        """Return the UTC window of partition ``key``.

        Raises:
            ValueError: if ``key`` is not written in this spec's format.
        """
        return _window(self, key)

    def has(self, key: str) -> bool:
        """Tell whether ``key`` is written as this spec's keys are."""
        try:
            self.window(key)
        except (ValueError, OverflowError):
            return False
        return True

    @property
    def calendar(self) -> str:
        """Return what tells these partitions from all with other windows, wherever they start."""
        return f"{self.every} {self.timezone}"

    def key_of(self, moment: datetime) -> str:
        """Return the key of the partition that holds ``moment`` (timezone-aware)."""
        return moment.astimezone(ZoneInfo(self.timezone)).strftime(self.format)

    def next_key(self, key: str) -> str:
        """Return the key of the partition that begins where that of ``key`` ends."""
        return self.key_of(self.window(key).end)

    def keys_between(self, first: str, last: str) -> tuple[str, ...]:
        """Return the keys from ``first`` to ``last``, both included."""
        keys = [first]
        while keys[-1] < last:
            keys.append(self.next_key(keys[-1]))
        return tuple(keys)

    def closed_keys(self, until: datetime) -> tuple[str, ...]:
        """Return the keys from ``start`` whose window has ended by ``until``, oldest first."""
        keys: list[str] = []
        local = datetime.strptime(self.start, self.format).replace(tzinfo=ZoneInfo(self.timezone))
        while (end := self.after(local)) <= until:
            keys.append(local.strftime(self.format))
            local = end
        return tuple(keys)

    def after(self, local: datetime) -> datetime:
        """Return the local start of the partition after the one that starts at ``local``."""
        if self.every == "hour":
            return local + timedelta(hours=1)
        if self.every == "day":
            return local + timedelta(days=1)
        return local.replace(year=local.year + local.month // 12, month=local.month % 12 + 1)


@lru_cache(maxsize=65_536)
def _window(spec: PartitionSpec, key: str) -> Window:
    start = datetime.strptime(key, spec.format).replace(tzinfo=ZoneInfo(spec.timezone))
    if start.strftime(spec.format) != key:
        raise ValueError(f"'{key}' is not written as {spec.format}")
    return Window(start.astimezone(UTC), spec.after(start).astimezone(UTC))

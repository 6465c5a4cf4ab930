"""Spans of time as the book writes them: ``90 minutes``, ``7 days``, ``3 months``."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The first and the last moment that there is."""
_JSON_FORM = rf"^\s*\d{{1,6}}\s*({'|'.join((*_SECONDS, *_MONTHS))})s?\s*$"
_FORM = re.compile(r"\s*(\d{1,6})\s*([a-z]+?)s?\s*")


@dataclass(frozen=True, order=True)
class Duration:
    """Calendar months plus exact seconds; one of the two is zero."""

    months: int = 0
    seconds: int = 0

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Read ``<whole number> <unit>``.

        Raises:
            ValueError: on any other form.
        """
        match = _FORM.fullmatch(text)
        if match:
            count, unit = int(match[1]), match[2]
            if unit in _SECONDS:
                return cls(seconds=count * _SECONDS[unit])
            if unit in _MONTHS:
                return cls(months=count * _MONTHS[unit])
        raise ValueError(f"'{text}' is not a duration; write for example '90 minutes', '7 days' or '3 months'")

    def before(self, moment: datetime) -> datetime:
        """Return the moment this long before ``moment``; a month's end stays within the month."""
        return self._shift(moment, -1)

    def behind(self, moment: datetime) -> datetime:
        """Return the moment this long after ``moment``."""
        return self._shift(moment, 1)

    @property
    def shortest(self) -> timedelta:
        """Return the least time this can last: months differ in length."""
        return min(_lengths(self))

    @property
    def longest(self) -> timedelta:
        """Return the most time this can last."""
        return max(_lengths(self))

    def _shift(self, moment: datetime, sign: int) -> datetime:
        index = moment.year * 12 + moment.month - 1 + sign * self.months
        year, month = divmod(index, 12)
        try:
            day = min(moment.day, monthrange(year, month + 1)[1])
            return moment.replace(year=year, month=month + 1, day=day) + timedelta(seconds=sign * self.seconds)
        except (ValueError, OverflowError):
            # No calendar goes so far: data may be of any year, and a row of the year 1 must not end a run.
            return (_FIRST if sign < 0 else _LAST).replace(tzinfo=moment.tzinfo)

    def __str__(self) -> str:
        """Render in the largest unit that fits, so that parsing it gives the same duration."""
        units = _MONTHS if self.months else _SECONDS
        amount = self.months or self.seconds
        for unit, size in sorted(units.items(), key=lambda pair: -pair[1]):
            if amount and amount % size == 0:
                count = amount // size
                return f"{count} {unit}" + ("" if count == 1 else "s")
        return "0 seconds"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate as an instance, serialise as text, describe as a string in JSON Schema."""
        return core_schema.no_info_plain_validator_function(
            cls._accept,
            serialization=core_schema.plain_serializer_function_ser_schema(str),
            json_schema_input_schema=core_schema.str_schema(pattern=_JSON_FORM),
        )

    @classmethod
    def _accept(cls, value: object) -> "Duration":
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError("a duration is text such as '7 days'")


@lru_cache
def _lengths(span: Duration) -> frozenset[timedelta]:
    """Return what a span lasts from the first of each month of four years, a leap year among them."""
    if not span.months:
        return frozenset({timedelta(seconds=span.seconds)})
    starts = (datetime(2001 + index // 12, index % 12 + 1, 1, tzinfo=UTC) for index in range(48))
    return frozenset(span.behind(start) - start for start in starts)

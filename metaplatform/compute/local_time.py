"""A time zone's clock as a short table, so that any engine keys rows exactly as ``PartitionSpec`` does.

Engines bring time zone rules of their own, of another year than Python's: a row at a border would fall into
another partition than the one that is asked for.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import gcd
from zoneinfo import ZoneInfo

from sqlglot import exp

from metaplatform.compute.instants import MICROSECONDS
from metaplatform.compute.sql_columns import column, identifier, text
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.sql.dialect import call

_LAST = datetime(2101, 1, 1, tzinfo=UTC)
_EVER = 2**62
_DAY = 86_400
PERIODS = "_periods"
"""Alias of the table of periods."""


@lru_cache(maxsize=64)
def offsets(timezone: str, since: datetime) -> tuple[tuple[int, int], ...]:
    """Return the periods of a zone's clock from ``since`` to 2100: (first second since 1970, offset from UTC)."""
    zone = ZoneInfo(timezone)

    def offset(second: int) -> int:
        moment = datetime.fromtimestamp(second, UTC).astimezone(zone)
        return int((moment.utcoffset() or timedelta()).total_seconds())

    start = int(since.timestamp())
    found = [(start, offset(start))]
    for later in range(start + _DAY, max(int(_LAST.timestamp()), start + _DAY), _DAY):
        if offset(later) != found[-1][1]:
            low, high = later - _DAY, later
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == found[-1][1] else (low, middle)
            found.append((high, offset(high)))
    return tuple(found)


def grain(spec: PartitionSpec) -> int:
    """Return a number of seconds: an interval of that length, counted from 1970, never lies in two partitions."""
    periods = offsets(spec.timezone, spec.window(spec.start).start)
    step = 3600 if spec.every == "hour" else _DAY
    return gcd(step, *(offset for _, offset in periods), *(second for second, _ in periods[1:]))


def periods_table(spec: PartitionSpec) -> exp.Values:
    """Return the periods as VALUES: ``since`` and ``until`` (seconds since 1970), ``clock`` (offset in seconds)."""
    periods = offsets(spec.timezone, spec.window(spec.start).start)
    starts = [-_EVER, *(second for second, _ in periods[1:]), _EVER]
    rows = [(starts[index], starts[index + 1], offset) for index, (_, offset) in enumerate(periods)]
    names = [identifier(name) for name in ("since", "until", "clock")]
    tuples = [exp.Tuple(expressions=[exp.Literal.number(value) for value in row]) for row in rows]
    return exp.Values(expressions=tuples, alias=exp.TableAlias(this=identifier(PERIODS), columns=names))


def in_period(second: exp.Expr) -> exp.Expr:
    """Return whether a second since 1970 lies in a row of the periods."""
    return exp.and_(
        exp.GTE(this=second.copy(), expression=column("since", PERIODS)),
        exp.LT(this=second.copy(), expression=column("until", PERIODS)),
    )


def key(second: exp.Expr, spec: PartitionSpec) -> exp.Expr:
    """Return the partition key of a second since 1970, as ``PartitionSpec.key_of`` does."""
    local = exp.Paren(this=exp.Add(this=second.copy(), expression=column("clock", PERIODS)))
    micros = exp.Mul(this=local, expression=exp.Literal.number(MICROSECONDS))
    return call("strftime", call("make_timestamp", micros), text(spec.format))

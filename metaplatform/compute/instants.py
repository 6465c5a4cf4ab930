"""Event timestamps as SQL: whole microseconds since 1970 in UTC, so that no session's time zone matters.

Integers compare, shift and frame windows several times faster than timestamps with a time zone do.
"""

from datetime import UTC, datetime

import ibis.expr.datatypes as dt
from sqlglot import exp

from metaplatform.compute.sql_columns import text
from metaplatform.errors import DataError
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import Window
from metaplatform.sql.dialect import call, cast_to, sql_text

MICROSECONDS = 1_000_000


def microseconds(column: exp.Expr, dtype: dt.DataType, *, owner: str) -> exp.Expr:
    """Return a date or timestamp as microseconds since 1970, null if infinite; without a time zone it is UTC.

    Raises:
        DataError: if the column is neither.
    """
    if not isinstance(dtype, dt.Timestamp | dt.Date):
        raise DataError(
            owner=owner,
            culprit=f"the event timestamp {sql_text(column)} is {dtype}",
            fix="make it a timestamptz, a timestamp or a date, in `columns` or by a cast",
        )
    return call("epoch_us", column)


def instant(micros: exp.Expr) -> exp.Expr:
    """Return microseconds as a TIMESTAMPTZ."""
    return call("make_timestamptz", micros)


def shifted(micros: exp.Expr, by: Duration, *, sign: int) -> exp.Expr:
    """Return microseconds moved by a duration; calendar months are those of UTC (as ``Duration`` moves them)."""
    if not (by.months or by.seconds):
        return micros
    operator = exp.Add if sign > 0 else exp.Sub
    if not by.months:
        return operator(this=micros, expression=exp.Literal.number(by.seconds * MICROSECONDS))
    months = exp.Interval(this=text(str(by.months)), unit=exp.var("month"))
    return call("epoch_us", operator(this=call("make_timestamp", micros), expression=months))


def literal(moment: datetime) -> exp.Expr:
    """Return a moment (timezone-aware) as a TIMESTAMPTZ constant."""
    return cast_to(text(moment.astimezone(UTC).isoformat(sep=" ")), "timestamptz")


def naive_literal(moment: datetime) -> exp.Expr:
    """Return a moment as a TIMESTAMP constant in UTC."""
    return cast_to(text(moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")), "timestamp")


def inside(column: exp.Expr, dtype: dt.DataType, window: Window) -> exp.Expr:
    """Return whether a date or timestamp lies in the window; the bare column is compared, so files can be skipped."""
    zoned = isinstance(dtype, dt.Timestamp) and dtype.timezone
    bound = literal if zoned else naive_literal
    return exp.and_(
        exp.GTE(this=column.copy(), expression=bound(window.start)),
        exp.LT(this=column.copy(), expression=bound(window.end)),
    )

"""What a table's log says of a file, for readers that skip files by it: right for every one of them, or nothing.

A reader may take a column without bounds, beside others that have some, for one without values (delta-rs does):
so a file has bounds for each of its columns, or for none. Bounds are left out where a reader could misjudge them:
NaN, infinities, decimals beyond what a double holds, years that ISO dates do not have, binary and nested values.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_MOST_COLUMNS = 256
"""Columns of a file that has statistics of columns at all: they stand in the log once for each file."""
_TEXT_KEPT = 32
_EXACT_DIGITS = 15
_SURROGATES = range(0xD800, 0xE000)
_LAST_CHARACTER = 0x10FFFF

Bounds = Mapping[str, tuple["pa.Scalar[Any]", "pa.Scalar[Any]"]]
"""Column → its least and greatest value."""


@dataclass
class FileStatistics:
    """Row count, null counts and bounds of one file, gathered as it is written."""

    schema: pa.Schema
    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    bounds: dict[str, tuple["pa.Scalar[Any]", "pa.Scalar[Any]"]] = field(default_factory=dict)
    unbounded: bool = False

    def add(self, table: pa.Table) -> None:
        """Take the rows of ``table`` in."""
        self.rows += table.num_rows
        if len(self.schema) > _MOST_COLUMNS:
            return
        for column in self.schema:
            values = table.column(column.name)
            if pa.types.is_nested(column.type):
                self.unbounded = True
                continue
            self.nulls[column.name] = self.nulls.get(column.name, 0) + values.null_count
            if not self.unbounded and values.null_count < len(values):
                self._widen(column.name, values)

    def _widen(self, name: str, values: "pa.ChunkedArray[Any]") -> None:
        if not _is_bounded(values):
            self.unbounded = True
            return
        found = pc.min_max(values)
        ends = [found["min"], found["max"], *self.bounds.get(name, ())]
        self.bounds[name] = (min(ends, key=_order), max(ends, key=_order))

    def to_json(self) -> str:
        """Return the statistics as the Delta protocol writes them."""
        return statistics_json(self.rows, self.nulls, {} if self.unbounded else self.bounds)


def statistics_json(rows: int, nulls: Mapping[str, int], bounds: Bounds) -> str:
    """Return the statistics of a file as the Delta protocol writes them.

    ``bounds`` are written only if each column of ``nulls`` that has a value has some, and each can be written.
    """
    written = {name: (_least(low), _greatest(high)) for name, (low, high) in bounds.items()}
    valued = {name for name, count in nulls.items() if count < rows}
    parts: dict[str, Any] = {"numRecords": rows, "nullCount": dict(nulls)}
    if written and valued <= written.keys() and all(None not in ends for ends in written.values()):
        parts["minValues"] = {name: low for name, (low, _) in written.items()}
        parts["maxValues"] = {name: high for name, (_, high) in written.items()}
    # Not in ASCII: delta-rs reads an escaped U+10FFFF as U+FFFFF.
    return json.dumps(parts, ensure_ascii=False)


def with_null_columns(statistics: str, names: Iterable[str]) -> str:
    """Return the statistics of a file in a table that has columns ``names`` besides, null in all rows of the file."""
    parts = json.loads(statistics)
    if parts["nullCount"]:
        parts["nullCount"] |= dict.fromkeys(names, parts["numRecords"])
    return json.dumps(parts, ensure_ascii=False)


def _is_bounded(values: "pa.ChunkedArray[Any]") -> bool:
    kind = values.type
    if pa.types.is_floating(kind):
        return bool(pc.all(pc.is_finite(values), min_count=0).as_py())
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_string(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
    )


def _order(value: Any) -> Any:
    # Dates and timestamps may lie outside what Python's own types can hold.
    return value.value if pa.types.is_temporal(value.type) else value.as_py()


def _least(bound: "pa.Scalar[Any]") -> Any:
    value = _plain(bound)
    if isinstance(value, str):
        return value[:_TEXT_KEPT]
    return -0.0 if isinstance(value, float) and value == 0 else value


def _greatest(bound: "pa.Scalar[Any]") -> Any:
    value = _plain(bound)
    if isinstance(value, str) and len(value) > _TEXT_KEPT:
        return _beyond(value[:_TEXT_KEPT])
    return 0.0 if isinstance(value, float) and value == 0 else value


def _beyond(prefix: str) -> str | None:
    """Return the shortest text that is greater than all that begin with ``prefix``; None if there is none."""
    kept = prefix.rstrip(chr(_LAST_CHARACTER))
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


def _plain(bound: "pa.Scalar[Any]") -> bool | float | str | None:
    """Return the value as JSON has it, None where it cannot be written so that every reader takes it for the same."""
    try:
        value = bound.as_py()
    except (OverflowError, ValueError):
        return None
    match value:
        case datetime():
            text = value.replace(tzinfo=None).isoformat(timespec="microseconds")
            return f"{text}Z" if value.tzinfo else text
        case date():
            return value.isoformat()
        case Decimal():
            exact = len(value.as_tuple().digits) <= _EXACT_DIGITS and "e" not in repr(float(value))
            return float(value) if exact else None
        case _:
            return value  # type: ignore[no-any-return]

"""A report as one HTML page: a table for people, complete in itself, with nothing fetched and nothing run."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from jinja2 import Environment, StrictUndefined

from metaplatform.text.moments import shown
from metaplatform.text.plurals import counted

SHOWN_ROWS = 5_000
"""Rows on a page; the table behind it has them all."""
_LONGEST_TEXT = 500
_PLAIN_FROM, _PLAIN_TO = 1e-4, 1e15
_DECIMALS = 4

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #656d76; --line: #d8dee4; --band: #f6f8fa; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --faint: #8d96a0; --line: #30363d; --band: #161b22; --page: #0d1117; }
}
body { margin: 2rem auto; padding: 0 1.5rem; max-width: 90rem; color: var(--ink); background: var(--page);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; }
.when { margin: .2rem 0 1rem; color: var(--faint); }
dl { display: flex; flex-wrap: wrap; gap: .2rem 2rem; margin: 0 0 1.2rem; }
dl div { display: flex; gap: .5rem; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  max-width: 40rem; overflow-wrap: anywhere; }
th { position: sticky; top: 0; background: var(--page); white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--band); }
.number { text-align: right; white-space: nowrap; }
.moment { white-space: nowrap; }
.null { color: var(--faint); }
@media print {
  :root { --ink: #000; --faint: #555; --line: #bbb; --band: #fff; --page: #fff; }
  body { margin: 0; padding: 0; max-width: none; font-size: 9pt; }
  .wide { overflow: visible; }
  th { position: static; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; }
}
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="when">{{ count }} · {{ when }}</p>
{%- if facts %}
<dl>{% for name, value in facts %}<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>{% endfor %}</dl>
{%- endif %}
{%- if rows %}
<div class="wide"><table>
<thead><tr>{% for name, style in columns %}<th scope="col" class="{{ style }}">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in rows %}
<tr>{% for text, style in row %}<td class="{{ style }}">{{ text }}</td>{% endfor %}</tr>
{%- endfor %}
</tbody>
</table></div>
{%- else %}
<p>There are no rows.</p>
{%- endif %}
</body>
</html>
"""


def report_html(
    title: str, rows: pa.Table, *, subtitle_facts: Mapping[str, str], generated_at: datetime, zone: str = "UTC"
) -> str:
    """Return a page of the first ``SHOWN_ROWS`` of ``rows``, with facts and the moment it was made above them.

    Moments are shown by the clock of ``zone``.

    Every value is escaped; the page has no script and its policy allows none.
    """
    shown = rows.slice(0, SHOWN_ROWS)
    styles = [_column_style(field.type) for field in rows.schema]
    columns = [
        [(cell_text(value, zone), _style(value, style)) for value in _values(column)]
        for column, style in zip(shown.columns, styles, strict=True)
    ]
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_PAGE)
    return template.render(
        title=title,
        count=_count(rows.num_rows),
        when=cell_text(generated_at, zone),
        facts=list(subtitle_facts.items()),
        columns=list(zip(rows.column_names, styles, strict=True)),
        rows=list(zip(*columns, strict=True)),
    )


def cell_text(value: Any, zone: str = "UTC") -> str:
    """Return a value for people: four decimals at most, moments by the clock of ``zone``, ``-`` for null."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, datetime):
        return _moment_text(value, zone)
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _moment_text(value: datetime, zone: str) -> str:
    whole = not (value.second or value.microsecond)
    if value.tzinfo is not None:
        return shown(value, zone, seconds=not whole)
    return value.isoformat(sep=" ", timespec="minutes" if whole else "auto")


def _float_text(value: float) -> str:
    if value and not _PLAIN_FROM <= abs(value) < _PLAIN_TO:
        return f"{value:.6g}"
    text = f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _values(column: Any) -> list[Any]:
    if pa.types.is_timestamp(column.type) or pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        # Python's moments hold microseconds: finer ones would be an error.
        column = column.cast(_in_microseconds(column.type), safe=False)
    return list(column.to_pylist())


def _in_microseconds(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    return pa.time64("us") if pa.types.is_time(kind) else pa.duration("us")


def _column_style(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "moment" if pa.types.is_temporal(kind) else ""


def _style(value: Any, style: str) -> str:
    return f"{style} null".strip() if value is None else style


def _count(rows: int) -> str:
    told = counted(rows, "row")
    return told if rows <= SHOWN_ROWS else f"the first {SHOWN_ROWS:,} of {told}"

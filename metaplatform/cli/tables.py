"""Tables that people read, and their JSON."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from metaplatform.chapters import PREDICTIONS
from metaplatform.replay.results import ReplayResult, ReplayRow
from metaplatform.specs.fields.metrics import METRICS
from metaplatform.text.numbers import metric_text
from metaplatform.text.plurals import counted

_BRACKETS = re.compile(r" \([^()]*\)")
_PIPE_WIDTH = 160
_MOST_TOLD = 24
"""A table of more lines has short reasons: nobody reads pages."""


def replay_table(result: ReplayResult) -> None:
    """Print what a replay found: a line for each scored partition, then the totals."""
    console = _console()
    for prediction in dict.fromkeys(row.prediction for row in result.rows):
        rows = [row for row in result.rows if row.prediction == prediction]
        table = Table(title=PREDICTIONS.ref(prediction), show_lines=False)
        metric = rows[0].metric
        for heading in ("partition", "rows", "drift share", "champion", f"{metric} live", f"{metric} first"):
            table.add_column(heading, justify="right", no_wrap=True)
        for heading in ("decision", "challenger", "actions"):
            table.add_column(heading)
        brief = len(rows) > _MOST_TOLD
        for row in rows:
            table.add_row(*_cells(row, brief=brief))
        console.print(table)
        if brief:
            console.print("`metaplatform decisions` tells what each decision was made from.", highlight=False)
        console.print(_verdict(rows), highlight=False)
        for line in _unjudged(rows):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    for note in result.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{counted(result.runs, 'run')} in {result.seconds:.0f} s, {result.peak_mib:.0f} MiB at most. "
        f"Everything is below {Path(result.root)}: `metaplatform ui` shows it.",
        highlight=False,
        soft_wrap=True,
    )


def _cells(row: ReplayRow, *, brief: bool) -> tuple[str, ...]:
    # The evaluations behind a reason stand in brackets.
    reason = _BRACKETS.sub("", row.reason) if brief else row.reason
    return (
        row.partition or "all",
        f"{row.rows:,}",
        "" if row.drift_share is None else f"{row.drift_share:.0%}",
        f"v{row.champion}",
        "" if row.live is None else metric_text(row.live),
        "" if row.first is None else metric_text(row.first),
        f"{row.decision}: {reason}" if row.decision else "",
        row.promotion,
        str(row.actions or ""),
    )


def _unjudged(rows: Sequence[ReplayRow]) -> Iterator[str]:
    """Yield a line for each check that could not judge some partitions: in how many, and why in the newest."""
    checks = dict.fromkeys(name for row in rows for name, _ in row.unjudged)
    for check in checks:
        found = [(row.partition, why) for row in rows for name, why in row.unjudged if name == check]
        partition, why = found[-1]
        where = f" of {partition}" if partition else ""
        told = why or "no reason is kept"
        yield f"Not judged by {check}: {len(found)} of {counted(len(rows), 'partition')}; the newest{where}: {told}"


def _verdict(rows: Sequence[ReplayRow]) -> str:
    pairs = [(row.live, row.first) for row in rows if row.live is not None and row.first is not None]
    if not pairs:
        return "No realized performance yet."
    live, first = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    sign = 1 if METRICS[rows[0].metric].higher_is_better else -1
    better = sum(sign * now > sign * then for now, then in pairs)
    same = sum(now == then for now, then in pairs)
    return (
        f"Mean {rows[0].metric}: {metric_text(live)} live, {metric_text(first)} for the first version never retrained; "
        f"better in {better} of {counted(len(pairs), 'partition')}, equal in {same}."
    )


def _console() -> Console:
    """Return a console as wide as the terminal; a file or a pipe has room for whole moments and reasons."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)

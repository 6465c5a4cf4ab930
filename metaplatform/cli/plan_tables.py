"""Plans as tables on a terminal, and the progress of an apply."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metaplatform.cli.progress import TerminalBar
from metaplatform.compute.changes.plan import Change, Plan
from metaplatform.planning.text import GROUPS, group_of, minutes_told, partitions_told, summary
from metaplatform.text.plurals import counted

_WIDTH = 160


def plan_table(plan: Plan) -> None:
    """Print a plan: a table for each thing that is done, then what ticks otherwise, then a line of summary."""
    console = Console(width=None if Console().is_terminal else _WIDTH)
    for group, title in GROUPS.items():
        changes = [change for change in plan.changes if group_of(change) == group]
        if not changes:
            continue
        table = Table(title=title, title_justify="left")
        for heading in ("what", "why", "breaks readers"):
            table.add_column(heading)
        for heading in ("partitions", "rows", "minutes"):
            table.add_column(heading, justify="right")
        for change in changes:
            table.add_row(*_cells(change))
        console.print(table)
    for tick in plan.automation:
        console.print(f"{tick.kind} {tick.name}: {tick.state} {tick.detail}".rstrip(), markup=False, highlight=False)
    console.print(summary(plan), highlight=False, markup=False, soft_wrap=True)


def _cells(change: Change) -> tuple[str, ...]:
    why = [*change.reasons, *(f"  {difference}" for difference in change.differences)]
    return (
        escape(change.ref),
        escape("\n".join(why)),
        escape("\n".join(change.breaking)),
        escape(partitions_told(change)),
        "" if change.rows is None else f"{change.rows:,}",
        minutes_told(change.seconds) if change.action else "",
    )


class ApplyProgress(TerminalBar):
    """A bar over the assets, with the partition at work behind it; plain lines where there is no terminal."""

    def __init__(self) -> None:
        super().__init__("apply", "partition", "")
        self._begun = 0

    def start(self, total: int) -> None:
        """Take the number of assets to make."""
        self._bar.update(self._task, total=total)

    def asset(self, ref: str, partitions: int) -> None:
        """Take the asset that is made now, and in how many partitions."""
        if not self._console.is_terminal:
            self._console.print(f"{ref}: {counted(partitions, 'partition')}", markup=False, highlight=False)
        self._bar.update(self._task, description=ref, completed=self._begun, partition="")
        self._begun += 1

    def partition(self, key: str) -> None:
        """Take the partition that is made now, ``""`` where there are none."""
        self._bar.update(self._task, partition=key)

"""Progress of a replay on the terminal; plain lines where there is none."""

from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


def progress_bar(console: Console, detail: str) -> Bar:
    """Return a bar with the step at work before it, and the field ``detail`` behind; gone when it is done."""
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn(f"{{task.fields[{detail}]}}"),
        console=console,
        transient=True,
    )


class Progress:
    """A bar over the moments, with the run at work beside it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = progress_bar(self._console, "run")
        self._task = self._bar.add_task("replay", total=None, run="looking at the sources")

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def start(self, total: int) -> None:
        """Take the number of moments to come."""
        self._bar.update(self._task, total=total, run="")

    def moment(self, now: datetime) -> None:
        """Take the moment that is played now."""
        done = self._bar.tasks[0].fields.get("done", -1) + 1
        self._bar.update(self._task, completed=done, description=f"{now:%Y-%m-%d}", done=done)

    def run(self, reason: str) -> None:
        """Take the reason of a run that starts."""
        if not self._console.is_terminal:
            self._console.print(f"{self._bar.tasks[0].description}: {reason}", markup=False, highlight=False)
        self._bar.update(self._task, run=reason[:80])

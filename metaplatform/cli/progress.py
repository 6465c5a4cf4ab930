"""Progress of a replay, or of a look at files, on the terminal; plain lines where there is none."""

from datetime import datetime
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class TerminalBar:
    """A bar on the terminal while its context is open: the step at work before it, the field ``detail`` behind."""

    def __init__(self, step: str, detail: str, said: str) -> None:
        """Name the first step, and what ``detail`` says at first."""
        self._console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn(f"{{task.fields[{detail}]}}"),
            console=self._console,
            transient=True,
        )
        fields: dict[str, Any] = {detail: said}
        self._task = self._bar.add_task(step, total=None, **fields)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.stop()


class Progress(TerminalBar):
    """A bar over the moments, with the run at work behind it."""

    def __init__(self, zone: str) -> None:
        """Show days by the clock of ``zone``."""
        super().__init__("replay", "run", "looking at the sources")
        self._zone = ZoneInfo(zone)

    def start(self, total: int) -> None:
        """Take the number of moments to come."""
        self._bar.update(self._task, total=total, run="")

    def moment(self, now: datetime) -> None:
        """Take the moment that is played now."""
        done = self._bar.tasks[0].fields.get("done", -1) + 1
        self._bar.update(self._task, completed=done, description=f"{now.astimezone(self._zone):%Y-%m-%d}", done=done)

    def run(self, reason: str) -> None:
        """Take the reason of a run that starts."""
        if not self._console.is_terminal:
            self._console.print(f"{self._bar.tasks[0].description}: {reason}", markup=False, highlight=False)
        self._bar.update(self._task, run=reason[:80])


class LookProgress(TerminalBar):
    """A bar over the columns of the files that are looked at."""

    def __init__(self) -> None:
        """Show that the rows are read first."""
        super().__init__("new source", "at", "reading rows")

    def columns(self, done: int, total: int) -> None:
        """Take how many columns of how many have been looked at."""
        self._bar.update(self._task, completed=done, total=total, at="columns")

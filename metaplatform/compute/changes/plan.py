"""A plan: what a book changes of what was made from another one."""

from dataclasses import dataclass, field
from typing import Literal

from metaplatform.chapters import Action
from metaplatform.compute.changes.differences import Difference

State = Literal["changed", "added", "gone", "pending"]


@dataclass(frozen=True)
class Change:
    """What happens to one entity of the book, and why.

    ``action`` is None where nothing is made: a policy, a check, a reaction, or what waits for the loop; what the loop
    takes in of files is ``pending``.
    ``partitions`` are the keys to make again (``("",)`` where there are none); empty where only the data
    tells. ``anew`` says that what is stored goes first: its rows and the new ones cannot stand in one table.
    ``breaking`` says why readers break. ``rows`` are stored now in these partitions, ``seconds`` are
    estimated from earlier runs; both None where unknown.
    """

    ref: str
    state: State
    action: Action | None
    reasons: tuple[str, ...]
    differences: tuple[Difference, ...] = ()
    breaking: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    anew: bool = False
    rows: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class AutomationChange:
    """A schedule or sensor that comes, goes, or ticks at other times."""

    name: str
    kind: Literal["schedule", "sensor"]
    state: State
    detail: str = ""


@dataclass(frozen=True)
class Plan:
    """Every change, each behind what it reads, and those of schedules and sensors."""

    changes: tuple[Change, ...] = ()
    automation: tuple[AutomationChange, ...] = field(default=())

    @property
    def empty(self) -> bool:
        """Tell whether the book changes nothing."""
        return not self.changes and not self.automation

    @property
    def work(self) -> tuple[Change, ...]:
        """Return what is to be made, in the order in which it can be."""
        return tuple(change for change in self.changes if change.action is not None)

    @property
    def breaking(self) -> tuple[Change, ...]:
        """Return the changes that break readers."""
        return tuple(change for change in self.changes if change.breaking)

    @property
    def seconds(self) -> float:
        """Return the estimated seconds of all work that there is an estimate for."""
        return sum(change.seconds or 0.0 for change in self.work)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return the references of work that there is no estimate for."""
        return tuple(change.ref for change in self.work if change.seconds is None)

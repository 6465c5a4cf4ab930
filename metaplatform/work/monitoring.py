"""Monitors: what each kind judges of a scored partition, and the observations that are kept of it."""

from collections.abc import Callable
from typing import Any

from metaplatform.extensions import WorkByKind
from metaplatform.work.drift import judge_drift
from metaplatform.work.judged import Judged, observations_of
from metaplatform.work.performance import judge_realized
from metaplatform.work.steps import Step

JUDGES: WorkByKind[Callable[[Step, Any], Judged]] = WorkByKind(
    "monitors", {"drift": judge_drift, "performance": judge_realized}
)
"""What judges the step's partition of what a monitor watches, by the monitor's kind."""


def watch(step: Step) -> Judged:
    """Judge the step's partition of what its monitor watches, and keep what was observed.

    Raises:
        DataError: if nothing was ever scored.
    """
    monitor = step.manifest.monitors[step.name]
    judged = JUDGES.of(monitor.kind)(step, monitor)
    step.ledger.append(*observations_of(step, monitor, judged))
    return judged

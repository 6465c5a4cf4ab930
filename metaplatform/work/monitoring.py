"""Monitors: what each kind judges of a scored partition, and the observations that are kept of it."""

from typing import assert_never

from metaplatform.specs.entities.monitoring import DriftMonitor, PerformanceMonitor
from metaplatform.work.drift import judge_drift
from metaplatform.work.judged import Judged, observations_of
from metaplatform.work.performance import judge_realized
from metaplatform.work.steps import Step


def watch(step: Step) -> Judged:
    """Judge the step's partition of what its monitor watches, and keep what was observed.

    Raises:
        DataError: if nothing was ever scored.
    """
    monitor = step.manifest.monitors[step.name]
    match monitor:
        case DriftMonitor():
            judged = judge_drift(step, monitor)
        case PerformanceMonitor():
            judged = judge_realized(step, monitor)
        case _:
            assert_never(monitor)
    step.ledger.append(*observations_of(step, monitor, judged))
    return judged

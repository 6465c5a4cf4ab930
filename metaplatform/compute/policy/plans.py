"""A run plan: what one Dagster run is to do, and why."""

from dataclasses import dataclass, field

from metaplatform.naming import stable_id

ALONE_TAG = "one_by_one"
"""Says on a run why the partitions that follow its own are not made with it."""


@dataclass(frozen=True)
class RunPlan:
    """One run to request.

    ``key`` is the run key: the same plan asked for again is the same run. ``refs`` are the assets to
    materialize, ``monitors`` the monitors whose checks run too, ``contracts`` the sources that are read and checked
    against theirs, ``partition`` is ``""`` where nothing in the run has partitions; ``last``, if given, is the last of
    a range of partitions that begins with it. ``reason`` is for people; ``tags`` go on the run. A run that failed is
    asked for again up to ``retries`` times.
    """

    key: str
    refs: tuple[str, ...]
    monitors: tuple[str, ...]
    partition: str
    reason: str
    tags: dict[str, str] = field(default_factory=dict)
    contracts: tuple[str, ...] = ()
    retries: int = 0
    last: str = ""


def run_key(kind: str, *parts: object) -> str:
    """Return a readable, stable run key: the kind, then an id of all parts."""
    return f"{kind}-{stable_id(kind, *parts)}"

"""Files that have changed → the run that reads them, once they have settled."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from metaplatform.compute.policy.plans import RunPlan, run_key
from metaplatform.specs.book.manifest import Manifest
from metaplatform.text.moments import shown

READ_AGAIN = 3
"""How often a reading that failed is tried again."""


@dataclass(frozen=True)
class Looked:
    """What a look at a source finds: the ``mark`` of its files now, when they changed last, and the mark last read."""

    mark: str
    changed_at: datetime
    read: str | None = None
    read_at: datetime | None = None


@dataclass(frozen=True)
class Readings:
    """The runs that read sources, by source; and notes on files that have not settled."""

    plans: Mapping[str, RunPlan]
    notes: tuple[str, ...]


def plan_readings(
    manifest: Manifest, looks: Mapping[str, Looked], now: datetime, *, busy: Collection[str] = (), at_rest: bool = False
) -> Readings:
    """Return the run of each source whose files or contract are not those read last.

    Files wait until they have not changed for the source's ``settle``; ``at_rest`` takes them as they are. Nothing is
    planned for a source that an unfinished run makes.
    """
    plans: dict[str, RunPlan] = {}
    notes: list[str] = []
    for name, look in looks.items():
        ref, settle = f"raw.{name}", manifest.sources[name].settle
        if look.mark == look.read or ref in busy:
            continue
        # A time in the future comes from another clock, and tells nothing.
        if not at_rest and look.changed_at <= now < settle.behind(look.changed_at):
            changed = shown(look.changed_at, manifest.zone(ref))
            notes.append(f"{ref}: files changed at {changed}; they are read {settle} later")
            continue
        plans[name] = RunPlan(
            key=run_key("read", name, look.read, look.read_at, look.mark),
            refs=(),
            monitors=(),
            partition="",
            reason=f"{ref}: new or changed files" if look.read else f"{ref}: files are read for the first time",
            contracts=(name,),
            retries=READ_AGAIN,
        )
    return Readings(plans, tuple(notes))

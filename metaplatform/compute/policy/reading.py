"""Files that have changed → the run that reads them, once they have settled."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from metaplatform.chapters import SOURCES
from metaplatform.compute.policy.plans import RunPlan, run_key
from metaplatform.naming import stable_id
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_contents import SourceContents
from metaplatform.specs.fields.duration import Duration
from metaplatform.text.moments import shown

_NEVER, _SHORTEST = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)
READ_AGAIN = 3
"""How often a reading that failed is tried again."""


@dataclass(frozen=True)
class Looked:
    """What a look at a source finds: the ``mark`` of its files now, when they changed last, and the mark last read.

    ``unseen`` is a source that nobody looked at: its mark says by which interval of time a run has to.
    """

    mark: str
    changed_at: datetime
    read: str | None = None
    read_at: datetime | None = None
    unseen: bool = False


@dataclass(frozen=True)
class Readings:
    """The runs that read sources, by source; and notes on files that have not settled."""

    plans: Mapping[str, RunPlan]
    notes: tuple[str, ...]


def unseen(known: SourceContents | None, spec_hash: str, every: Duration, now: datetime) -> Looked:
    """Return the look at a source that only runs ask for its state: so long after one has, another is to.

    The source is due under one mark within each such interval, so that a run that fails is tried again in the next.
    """
    last = _NEVER if known is None else known.asked_at or known.arrived_at
    waited = int((now - last) / max(every.shortest, _SHORTEST))
    if known is not None and known.spec_hash == spec_hash and waited < 1:
        return Looked(known.mark, _NEVER, known.mark, known.arrived_at, unseen=True)
    due = stable_id("due", spec_hash, last.isoformat(), waited)
    return Looked(due, _NEVER, known.mark if known else None, known.arrived_at if known else None, unseen=True)


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
        ref, settle = SOURCES.ref(name), manifest.sources[name].settle
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
            reason=f"{ref}: {_reason(look)}",
            contracts=(name,),
            retries=READ_AGAIN,
        )
    return Readings(plans, tuple(notes))


def _reason(look: Looked) -> str:
    if look.unseen:
        return "it is asked for rows that are new or have changed"
    return "new or changed files" if look.read else "files are read for the first time"

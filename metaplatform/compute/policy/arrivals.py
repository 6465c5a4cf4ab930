"""New data → the run that ingests it and makes everything that simply follows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from metaplatform.chapters import SOURCES
from metaplatform.compute.policy.plans import ALONE_TAG, RunPlan, run_key
from metaplatform.compute.policy.ranges import MOST_PARTITIONS, Joining, apart, following, within_bounds
from metaplatform.compute.policy.road import Road, Stock
from metaplatform.compute.policy.stale import Stale
from metaplatform.naming import ref_name
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_contents import EMPTY
from metaplatform.specs.fields.partitions import PartitionSpec

ARRIVE_AGAIN = 3
"""How often an arrival that failed is tried again."""


@dataclass(frozen=True)
class ArrivalState:
    """What arrivals are planned from.

    ``contents`` and ``arrived`` give fingerprints by source name and partition (``""`` where there are none), as read
    last and as last ingested. ``built`` gives the partitions that each table has been made for, those without rows too
    (``""`` where there are no partitions). ``scorable`` names the predictions whose model version exists.
    ``last`` gives the id of a partition's newest arrival: content may come, go and come again. ``busy``
    names the references that unfinished runs are making. ``reading`` names sources whose files are being read, or are
    about to be. ``known`` gives the moment as of which labels are known, by model (none given: ``now``).
    ``blocked`` gives partitions of sources (``""``: all of it) that nothing may be made of, and why.
    ``stale`` gives what was made of other contents than there are now (see ``stale_partitions``), ``lost`` likewise
    what somebody has taken away. ``joining`` tells which partitions may be made in one run.
    """

    contents: Mapping[str, Mapping[str, str]]
    arrived: Mapping[tuple[str, str], str]
    built: Mapping[str, frozenset[str]]
    scorable: frozenset[str]
    last: Mapping[tuple[str, str], str] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    reading: frozenset[str] = frozenset()
    blocked: Mapping[tuple[str, str], str] = field(default_factory=dict)
    known: Mapping[str, datetime] = field(default_factory=dict)
    stale: Stale = field(default_factory=dict)
    lost: Stale = field(default_factory=dict)
    joining: Joining = field(default_factory=Joining)

    @cached_property
    def partitions_arrived(self) -> Mapping[str, Sequence[str]]:
        """Return the partitions that have arrived, by source."""
        found: dict[str, list[str]] = {}
        for name, key in self.arrived:
            found.setdefault(name, []).append(key)
        return found


@dataclass(frozen=True)
class _Job:
    """Sources to ingest, or tables to make or make again, in one partition of one scheme (``None``, ``""``: in none).

    ``more`` are the partitions that follow it, of which the same is to be made. ``rank`` orders data before tables to
    catch up with, then windows by their end; of two ends the shorter.
    """

    scheme: PartitionSpec | None
    partition: str
    roots: tuple[str, ...]
    arrival: bool
    rank: tuple[bool, datetime, timedelta] = (False, datetime.max.replace(tzinfo=UTC), timedelta.max)
    more: tuple[str, ...] = ()
    alone: str = ""

    @property
    def partitions(self) -> tuple[str, ...]:
        return (self.partition, *self.more)


def plan_arrivals(manifest: Manifest, state: ArrivalState, now: datetime) -> tuple[RunPlan, ...]:
    """Return the runs that can start now, each for a range of partitions, and one for what has none.

    A partition is due once its window has ended. What belongs together goes oldest first, one run at a time: features
    look back at the partitions before. Partitions between which nothing can be decided go into one run. A source
    without partitions goes along with the first run that it feeds. Tables that could not be made when their data came
    are made once no data of theirs is due: an input was late, or the book is new. What was made of other contents than
    there are now is made again likewise. Nothing is planned that an unfinished run touches, nor what is fed by a source
    that is being read. What is blocked holds up what comes after it on its road.
    """
    road, stock = Road(manifest), Stock(state.built, state.scorable)
    fed = frozenset(ref for name in state.reading for ref in road.reach(SOURCES.ref(name)))
    plain = tuple(
        name
        for name in _changed(manifest, state, None)
        if (name, "") not in state.blocked and fed.isdisjoint(road.reach(SOURCES.ref(name)))
    )
    plans: list[RunPlan] = []
    claimed: set[str] = set()
    for job in sorted(_jobs(road, state, stock, now), key=lambda found: found.rank):
        joined = tuple(SOURCES.ref(name) for name in plain if _feeds(road, name, job))
        roots = (*job.roots, *joined)
        selected = road.selection(roots, stock, scheme=job.scheme, partition=job.partition, score=job.arrival)
        held = _is_blocked(state, job) or any(not fed.isdisjoint(road.reach(root)) for root in roots)
        if not held and claimed.isdisjoint(_touched(road, selected)) and _free(road, state, selected):
            plans.append(_plan(road, state, _joined(road, state, stock, job, roots, selected), roots, selected, now))
            plain = tuple(name for name in plain if SOURCES.ref(name) not in joined)
            claimed.update(joined)
        # What is held back holds back what comes after it on its road.
        claimed.update(ref for ref in selected if road.partitions[ref] is not None)
    made = frozenset(ref for plan in plans for ref in plan.refs)
    missing = (ref for ref in _to_catch_up(road, state, stock, None) if ref not in made and ref not in fed)
    return (*_plan_plain(road, state, stock, (*(SOURCES.ref(name) for name in plain), *missing), now), *plans)


def _joined(
    road: Road, state: ArrivalState, stock: Stock, job: _Job, roots: tuple[str, ...], selected: tuple[str, ...]
) -> _Job:
    """Return the job with as many of its partitions as go into one run; all is made of each that is of the first."""
    more: list[str] = []
    if job.more and (why := apart(road, selected, state.joining)):
        return replace(job, more=(), alone=why)
    for key in job.more:
        same = road.selection(roots, stock, scheme=job.scheme, partition=key, score=job.arrival)
        if same != selected or _is_blocked(state, replace(job, partition=key)):
            break
        more.append(key)
    read = {*selected, *(parent for ref in selected for parent in road.inputs(ref))}
    count = within_bounds((job.partition, *more), read, state.joining)
    return replace(job, more=tuple(more[: count - 1]))


def _plan_plain(
    road: Road, state: ArrivalState, stock: Stock, roots: tuple[str, ...], now: datetime
) -> Iterator[RunPlan]:
    """Yield the run of sources and tables without partitions, if there are any to make."""
    selected = road.selection(roots, stock, scheme=None, partition="")
    if roots and _free(road, state, selected):
        arrival = any(SOURCES.holds(ref) for ref in roots)
        yield _plan(road, state, _Job(None, "", roots, arrival), roots, selected, now)


def _changed(manifest: Manifest, state: ArrivalState, scheme: PartitionSpec | None) -> dict[str, list[str]]:
    """Return the sources of ``scheme`` whose content is not the one last ingested, with those partitions, sorted."""
    changed = {
        name: sorted(
            key for key, found in _held(manifest, state, name).items() if state.arrived.get((name, key)) != found
        )
        for name in state.contents
        if name in manifest.sources and manifest.sources[name].partitions == scheme
    }
    return {name: changed[name] for name in manifest.sources if changed.get(name)}


def _held(manifest: Manifest, state: ArrivalState, name: str) -> dict[str, str]:
    """Return the fingerprint of each partition of a source, of those too that it no longer holds a row of."""
    held = dict(state.contents[name])
    source = manifest.sources[name]
    if source.partitions is not None and source.deletes == "follow":
        gone = (key for key in state.partitions_arrived.get(name, ()) if key not in held)
        held |= {key: EMPTY for key in gone if _is_key(key, source.partitions)}
    return held


def _is_key(text: str, scheme: PartitionSpec) -> bool:
    """Tell whether a partition that once arrived is one of the scheme as it is now."""
    try:
        return bool(scheme.window(text))
    except ValueError:
        return False


def _is_blocked(state: ArrivalState, job: _Job) -> bool:
    sources = [ref_name(ref) for ref in job.roots if SOURCES.holds(ref)]
    return any((name, key) in state.blocked for name in sources for key in ("", job.partition))


def _jobs(road: Road, state: ArrivalState, stock: Stock, now: datetime) -> Iterator[_Job]:
    """Yield the oldest due partition of each source, and the oldest missing one of each table, by partition."""
    for scheme in dict.fromkeys(source.partitions for source in road.manifest.sources.values() if source.partitions):
        # Keys sort as their windows do, and the partition that holds ``now`` is still open.
        first_open = scheme.key_of(now)
        due = {
            SOURCES.ref(name): closed
            for name, keys in _changed(road.manifest, state, scheme).items()
            if (closed := [key for key in keys if scheme.start <= key < first_open])
        }
        for arrival, todo in ((True, due), (False, _to_catch_up(road, state, stock, scheme))):
            for partition in dict.fromkeys(keys[0] for keys in todo.values()):
                window = scheme.window(partition)
                roots = tuple(ref for ref, keys in todo.items() if keys[0] == partition)
                rank = (not arrival, window.end, window.end - window.start)
                more = tuple(following(scheme, partition, todo, MOST_PARTITIONS))
                yield _Job(scheme, partition, roots, arrival, rank, more)


def _to_catch_up(
    road: Road, state: ArrivalState, stock: Stock, scheme: PartitionSpec | None
) -> dict[str, Sequence[str]]:
    """Return the tables to make, and those to make again, with those partitions, oldest first."""
    found: dict[str, Sequence[str]] = dict(road.missing(stock, scheme))
    for again in (state.stale, state.lost):
        for ref, keys in road.outdated(stock, scheme, again).items():
            found[ref] = sorted({*keys, *found.get(ref, ())})
    return found


def _feeds(road: Road, source: str, job: _Job) -> bool:
    reached = road.reach(SOURCES.ref(source))
    return any(not reached.isdisjoint(road.reach(root)) for root in job.roots)


def _touched(road: Road, selected: tuple[str, ...]) -> set[str]:
    """Return the partitioned tables among the selected, and all they are made of."""
    made = [ref for ref in selected if road.partitions[ref] is not None]
    return {*made, *(parent for ref in made for parent in road.inputs(ref))}


def _free(road: Road, state: ArrivalState, selected: tuple[str, ...]) -> bool:
    """Tell whether no unfinished run makes what is selected, or what it is made of."""
    return state.busy.isdisjoint(selected) and all(state.busy.isdisjoint(road.inputs(ref)) for ref in selected)


def _plan(
    road: Road, state: ArrivalState, job: _Job, roots: tuple[str, ...], selected: tuple[str, ...], now: datetime
) -> RunPlan:
    manifest, keys = road.manifest, job.partitions
    hashes = [manifest.spec_hash(ref) for ref in selected]
    changes = dict.fromkeys(_change(manifest, state, ref, key) for key in keys for ref in sorted(roots))
    return RunPlan(
        key=run_key("arrival" if job.arrival else "missing", job.partition, *changes, *hashes),
        refs=selected,
        monitors=road.monitors(selected, job.partition, {**dict.fromkeys(manifest.models, now), **state.known}),
        partition=job.partition,
        reason=_reason(manifest, state, job, roots),
        tags={ALONE_TAG: job.alone} if job.alone else {},
        retries=ARRIVE_AGAIN,
        last=job.more[-1] if job.more else "",
    )


def _reason(manifest: Manifest, state: ArrivalState, job: _Job, roots: tuple[str, ...]) -> str:
    keys = job.partitions
    what = f" for {job.partition}" if job.partition else ""
    what += f" to {keys[-1]}" if job.more else ""

    def any_of(known: Stale, ref: str) -> bool:
        return not known.get(ref, {}).keys().isdisjoint(keys)

    sources = sorted(ref for ref in roots if SOURCES.holds(ref))
    stale = sorted(ref for ref in roots if any_of(state.stale, ref))
    lost = sorted(ref for ref in roots if any_of(state.lost, ref) and ref not in stale)
    missing = sorted(set(roots) - set(sources) - set(stale) - set(lost))
    gone = [ref for ref in sources if all(_found(manifest, state, ref, key) == EMPTY for key in keys)]
    new = [ref for ref in sources if ref not in gone]
    reasons = (
        f"new data{what} in {', '.join(new)}" if new else "",
        f"no row{what} any more in {', '.join(gone)}" if gone else "",
        f"{', '.join(missing)} not made yet{what}" if missing else "",
        f"{', '.join(stale)} made of other rows than there are now{what}" if stale else "",
        f"the file{what} of {', '.join(lost)} is missing" if lost else "",
    )
    return "; ".join(filter(None, reasons))


def _change(manifest: Manifest, state: ArrivalState, ref: str, partition: str) -> str:
    """Return what tells this change from any other: content that comes back is a change again."""
    if not SOURCES.holds(ref):
        again = (known.get(ref, {}).get(partition, "") for known in (state.stale, state.lost))
        return f"{ref}:{'+'.join(filter(None, again))}"
    name = ref_name(ref)
    held = (name, partition if manifest.sources[name].partitions else "")
    found = _found(manifest, state, ref, partition)
    return f"{ref}:{state.last.get(held)}:{state.arrived.get(held)}>{found}"


def _found(manifest: Manifest, state: ArrivalState, ref: str, partition: str) -> str:
    """Return the fingerprint of what a source holds in the partition, or as a whole if it has none."""
    name = ref_name(ref)
    return state.contents[name].get(partition if manifest.sources[name].partitions else "", EMPTY)

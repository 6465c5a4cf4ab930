"""Around the work of each step: what it makes its asset from is read before, and kept after it has succeeded."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import ibis

from metaplatform.chapters import FEATURE_SETS, MODELS, SOURCES
from metaplatform.compute.chosen_rows import in_partition, in_partitions
from metaplatform.compute.partition_profiles import profiles_by, row_profiles
from metaplatform.compute.policy.ranges import MOST_PARTITIONS
from metaplatform.compute.policy.road import made_by_reactions
from metaplatform.errors import ColumnTypeError, DataError, StorageError
from metaplatform.naming import PARTITION, ref_prefix, stable_id
from metaplatform.resources.engine.session import Session
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.root_use import mark_root
from metaplatform.specs.book.builds import BuiltPartition, Lineages
from metaplatform.specs.book.fingerprints import Contents
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.specs.snapshots import entity_fields, snapshot_of
from metaplatform.work.steps import REPLAY_TAGS, Made, Step

_NO_CONTENT = {"predictions": frozenset({"run_id", "scored_at"})}
"""Columns that are not content: the same scores made once more change nothing for those who read them."""
_NAMED = 10


Work = Callable[[Step], Mapping[str, Made]]
"""What a step does: it returns what it made by partition (``""`` where there are none), nothing if nothing was made."""


def one_by_one(work: Callable[[Step], Made | None]) -> Work:
    """Return ``work``, which makes one partition, as work that makes each of a range, oldest first."""

    def make(step: Step) -> dict[str, Made]:
        return {each.partition or "": made for each in step.each if (made := work(each)) is not None}

    return make


class RangeError(DataError):
    """Some partitions of a range could not be made; ``made`` are the others."""

    def __init__(self, ref: str, faults: Mapping[str, DataError], made: Mapping[str, Made]) -> None:
        """Name each partition at fault, and what is wrong with the first."""
        first = next(iter(faults.values()))
        named = ", ".join([*list(faults)[:_NAMED], *(["…"] if len(faults) > _NAMED else [])])
        culprit = f"{len(faults)} of {len(faults) + len(made)} partitions cannot be made ({named}): {first.culprit}"
        super().__init__(owner=ref, culprit=culprit, fix=first.fix)
        self.made = made


class Recorded:
    """Work that keeps what it made an asset from, once it has succeeded.

    Inputs are asked for before anything is read: should one be replaced meanwhile, the record is older than the
    truth, and the asset made once more. What no replay makes, none can make again: its storage root is live.
    """

    def __init__(self, work: Work, at_once: Callable[[Step], bool]) -> None:
        """Take ``work`` that makes one partition, or all of a range in one commit where ``at_once`` says so."""
        self._work, self._at_once = work, at_once

    def __call__(self, step: Step) -> Made:
        """Make all of the asset, or its one partition."""
        (made,) = self._kept(step).values()
        return made

    def over(self, step: Step) -> dict[str, Made]:
        """Make what the step is about, a range of partitions too; return it by partition.

        Raises:
            RangeError: if some of a range could not be made; all others are, and it has them.
        """
        if not step.range:
            return self._kept(step)
        made: dict[str, Made] = {}
        faults: dict[str, DataError] = {}
        for piece in step.pieces(MOST_PARTITIONS):
            found = self._together(piece) if self._at_once(piece) else None
            made |= self._one_by_one(piece, faults) if found is None else found
        if faults:
            raise RangeError(step.ref, faults, made)
        return made

    def _together(self, step: Step) -> dict[str, Made] | None:
        """Make the range in one commit; None if the data of some partition, or the engine, do not allow that."""
        try:
            return self._kept(step)
        except ColumnTypeError:
            # It is the table's fault, not a partition's.
            raise
        except (DataError, StorageError) as error:
            step.log(f"{step.ref} is made partition by partition: {error.culprit}")
            return None

    def _one_by_one(self, step: Step, faults: dict[str, DataError]) -> dict[str, Made]:
        """Make each partition that can be made, oldest first; ``faults`` gets the others."""
        made: dict[str, Made] = {}
        for each in step.each:
            try:
                made |= self._kept(each)
            except ColumnTypeError:
                raise
            except DataError as error:
                faults[each.partition or ""] = error
        return made

    def _kept(self, step: Step) -> dict[str, Made]:
        if step.tags.keys().isdisjoint(REPLAY_TAGS):
            mark_root(step.warehouse.root_path, "live", step.holder)
        records = BuildRecords(step.warehouse.root_path)
        inputs, read = inputs_of(step, records), contents_read(step, records)
        started = time.perf_counter()
        made = self._work(step)
        seconds = round((time.perf_counter() - started) / max(len(made), 1), 3)
        contents = stored_contents(step)
        built = {
            key: BuiltPartition(
                step.manifest.spec_hash(step.ref),
                inputs[key],
                seconds,
                step.run_id,
                model_version=each.model_version,
                read=read[key],
                content=contents[key][0],
                periods=contents[key][1],
            )
            for key, each in made.items()
        }
        records.keep(step.ref, entity_fields(step.manifest.entities[step.ref]), built)
        keep_book(step.manifest, records)
        return {key: replace(each, content=contents[key][0]) for key, each in made.items()}


def recorded(work: Callable[[Step], Made]) -> Recorded:
    """Return work on one partition, recorded; a range is made partition by partition."""
    return Recorded(one_by_one(work), at_once=lambda _: False)


def recorded_at_once(work: Work) -> Recorded:
    """Return work that can make a range of partitions in one commit, recorded."""
    return Recorded(work, at_once=lambda _: True)


def inputs_of(step: Step, records: BuildRecords) -> dict[str, dict[str, str]]:
    """Return, by partition that the step makes, the lineage of what is stored of each input, as far as it is read.

    Where nothing is stored, nothing can be of an older book: the lineage is the one it would have.
    """
    manifest, scheme = step.manifest, step.manifest.partitions(step.ref)
    windows = {key: scheme.window(key) if scheme and key else None for key in step.partitions or ("",)}
    found: dict[str, dict[str, str]] = {key: {} for key in windows}
    for other, reaches in manifest.reads(step.ref).items():
        built, wanted = records.read(other), manifest.lineage.of(other)
        lineages = Lineages(built, manifest.partitions(other)) if built else None
        for key, window in windows.items():
            found[key][other] = (lineages.found(window, reaches) if lineages else "") or wanted
    return found


def contents_read(step: Step, records: BuildRecords) -> dict[str, dict[str, str]]:
    """Return, by partition that the step makes, a token of the contents of each input within reach, as of now."""
    keys = step.partitions or ("",)
    if step.ref in made_by_reactions(step.manifest):
        return {key: {} for key in keys}
    built = {other: found for other in step.manifest.reads(step.ref) if (found := records.read(other)) is not None}
    contents = Contents(step.manifest, built)
    return {key: contents.read(step.ref, key) for key in keys}


Content = tuple[str, dict[str, dict[str, str]]]
"""A token of stored rows, and tokens by calendar and period of their event timestamps where readers need them."""


def stored_contents(step: Step) -> dict[str, Content]:
    """Return what tells the rows that the step has stored from others, by partition.

    The rows of a source's partition have their event timestamps in it, and so have those of a range; those of others
    need not.
    """
    if MODELS.holds(step.ref) or not step.warehouse.exists(step.ref):
        return {key: ("", {}) for key in step.partitions or ("",)}
    with step.warehouse.session() as session:
        rows = session.table(step.ref)
        rows = rows.drop(*(_NO_CONTENT.get(ref_prefix(step.ref), frozenset()) & set(rows.columns)))
        if step.range:
            return _contents(session, step, in_partitions(rows, step.range))
        return {step.partition or "": _content(session, step, rows)}


def _content(session: Session, step: Step, stored: ibis.Table) -> Content:
    rows, time = in_partition(stored, step.partition), step.manifest.event_timestamp(step.ref)
    rows = rows.drop(*({PARTITION} & set(rows.columns)))
    whole = _profile(session, row_profiles(rows, owner=step.ref))
    told = {
        scheme.calendar: _profile(session, row_profiles(rows, owner=step.ref, scheme=scheme, moment=time))
        for scheme in _schemes_to_tell(step)
    }
    return whole.get("", ""), {scheme: found for scheme, found in told.items() if set(found) != {step.partition}}


def _contents(session: Session, step: Step, rows: ibis.Table) -> dict[str, Content]:
    """Return what tells the rows of each partition of the step's range from others."""
    scheme = None if FEATURE_SETS.holds(step.ref) else next(iter(_schemes_to_tell(step)), None)
    time = step.manifest.event_timestamp(step.ref) or ""
    profiles = profiles_by(rows, PARTITION, owner=step.ref, scheme=scheme, moment=time)
    found: dict[str, dict[str, tuple[int, int]]] = {key: {} for key in step.range}
    for row in session.stream(profiles).read_all().to_pylist():
        found[row["partition"]][row["period"]] = (row["rows"], int(row["fingerprint"]))
    return {key: _told_together(key, periods, scheme) for key, periods in found.items()}


def _told_together(key: str, periods: dict[str, tuple[int, int]], scheme: PartitionSpec | None) -> Content:
    """Return a partition's content from the rows and the fingerprints of its periods."""
    rows, fingerprint = (sum(part) for part in zip(*periods.values(), strict=True)) if periods else (0, 0)
    told = {} if scheme is None or set(periods) == {key} else {scheme.calendar: periods}
    return (
        stable_id(rows, fingerprint) if rows else "",
        {name: {each: stable_id(*part) for each, part in found.items()} for name, found in told.items()},
    )


def _schemes_to_tell(step: Step) -> tuple[PartitionSpec, ...]:
    """Return by which partitions the stored rows are told apart in time, each once by its windows."""
    manifest, own = step.manifest, step.manifest.partitions(step.ref)
    if (SOURCES.holds(step.ref) and own) or not manifest.event_timestamp(step.ref):
        return ()
    if own is not None:
        return (own,)
    schemes = {
        scheme.calendar: scheme
        for ref in manifest.entities
        if (scheme := manifest.partitions(ref)) is not None
        and any(reach.kind == "span" for reach in manifest.reads(ref).get(step.ref, ()))
    }
    return tuple(schemes.values())


def _profile(session: Session, profiles: ibis.Table) -> dict[str, str]:
    found = session.stream(profiles).read_all().to_pylist()
    return {str(row["partition"]): stable_id(row["rows"], row["fingerprint"]) for row in found if row["rows"]}


def keep_book(manifest: Manifest, records: BuildRecords) -> None:
    """Keep the book as the one that last ran here."""
    records.apply(manifest.identity, lambda: snapshot_of(manifest))

"""Book and contents against what was made: which partitions of what are stale, and why. No data is looked at."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median
from typing import Any

from metaplatform.chapters import CHAPTERS, MODELS, PREDICTIONS, chapter_of
from metaplatform.compute.changes.automation import automation_changes
from metaplatform.compute.changes.breaking import RETYPED, Breaking
from metaplatform.compute.changes.differences import Difference, differences
from metaplatform.compute.changes.plan import Change, Plan
from metaplatform.compute.policy.road import made_by_reactions, topological_order
from metaplatform.compute.policy.stale import stale_partitions, with_followers
from metaplatform.naming import ref_name
from metaplatform.specs.book.builds import Built, BuiltPartition
from metaplatform.specs.book.fingerprints import Contents
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.snapshots import Snapshot, entity_fields, past_manifest, snapshot_of
from metaplatform.text.plurals import counted


@dataclass(frozen=True)
class Past:
    """What there is: the book that last ran, and what each asset was made from, by reference.

    ``untold`` gives tables that exist, and that the book would not make, with the reason.
    ``lost`` gives the partitions of outputs whose file is gone.
    """

    book: Snapshot = field(default_factory=dict)
    built: Mapping[str, Built] = field(default_factory=dict)
    untold: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, Collection[str]] = field(default_factory=dict)

    @classmethod
    def of_book(cls, manifest: Manifest) -> "Past":
        """Return the past in which everything was made from one book."""
        built = {
            ref: Built(
                entity_fields(entity),
                {"": BuiltPartition(manifest.spec_hash(ref), dict(manifest.lineage.inputs(ref)), 0.0, "")},
            )
            for ref, entity in manifest.entities.items()
            if chapter_of(ref).action
        }
        return cls(snapshot_of(manifest), built)

    @cached_property
    def manifest(self) -> Manifest:
        """Return the book that all of this was made from, as far as it still is one."""
        chapters: dict[str, dict[str, Any]] = {chapter: dict(self.book.get(chapter, {})) for chapter in CHAPTERS}
        for ref, built in self.built.items():
            chapters[chapter_of(ref).name][ref_name(ref)] = built.fields
        return past_manifest(chapters)

    def fields(self, ref: str) -> Mapping[str, Any] | None:
        """Return an entity's fields in the book that last ran; None if it had none of that name."""
        found: Mapping[str, Any] | None = self.book.get(chapter_of(ref).name, {}).get(ref_name(ref))
        return found


def plan_changes(past: Past, manifest: Manifest) -> Plan:
    """Return what the book changes of the past."""
    found = _Comparison(past, manifest)
    changes = [change for ref in found.order if (change := found.change(ref)) is not None]
    gone = [found.gone(ref) for ref in past_manifest(past.book).entities if ref not in manifest.entities]
    return Plan((*changes, *gone), tuple(automation_changes(past_manifest(past.book), manifest)))


class _Comparison:
    """One plan in the making: what is found of a reference is read by those behind it."""

    def __init__(self, past: Past, manifest: Manifest) -> None:
        self.order = topological_order(manifest)
        self._past, self._manifest = past, manifest
        self._breaking = Breaking(past.manifest, manifest)
        self._on_demand = made_by_reactions(manifest)
        self._outdated = with_followers(manifest, past.built, stale_partitions(manifest, past.built))
        self._made: set[str] = set()
        self._waiting: set[str] = set()

    def change(self, ref: str) -> Change | None:
        """Return what happens to an entity of the book, None if nothing does."""
        work = self._work(ref) if chapter_of(ref).action else None
        setting = self._setting(ref)
        if work is None:
            return setting
        if work.action is not None:
            self._made.add(ref)
        return replace(work, differences=(*work.differences, *(setting.differences if setting else ())))

    def gone(self, ref: str) -> Change:
        """Return what is said of an entity that the book no longer has."""
        stored = ref in self._past.built and not MODELS.holds(ref)
        kept = f"what it made stays, orphaned, as {ref}" if stored else "nothing else is removed"
        return Change(ref, "gone", None, (kept,), breaking=self._breaking.reasons(ref))

    def _work(self, ref: str) -> Change | None:
        built = self._past.built.get(ref)
        if built is None or built.unfinished or not built.partitions:
            return self._first(ref, built)
        edited = {key for key, made in built.partitions.items() if self._is_stale(ref, made)}
        lost = frozenset() if ref in self._on_demand else frozenset(self._past.lost.get(ref, ()))
        stale = tuple(sorted(edited | self._outdated.get(ref, frozenset()) | lost))
        if not stale:
            return None
        found = self._breaking.reasons(ref)
        recut = self._past.manifest.partitions(ref) != self._manifest.partitions(ref) or not self._fit(ref, stale)
        other = any(reason.startswith(("it loses", RETYPED)) for reason in found)
        anew = recut or (other and self._manifest.partitions(ref) is not None)
        keys = () if anew else stale
        changed = self._differences(ref, built.fields)
        waits = self._held_up(ref)
        if waits:
            self._waiting.add(ref)
            reasons = (*self._reasons(ref, built, stale, changed), waits)
            return Change(ref, "changed", None, reasons, changed, found)
        return Change(
            ref,
            "changed",
            chapter_of(ref).action,
            self._reasons(ref, built, stale, changed),
            changed,
            found,
            keys,
            anew,
            seconds=None if recut else _seconds(built, len(built.partitions) if anew else len(keys)),
        )

    def _first(self, ref: str, built: Built | None) -> Change | None:
        """Return the making of what was never made, or never wholly, if it is to be made and can be."""
        known = self._past.fields(ref) is not None
        if ref in self._past.untold:
            reason = self._past.untold[ref]
        elif built is not None and built.unfinished:
            reason = "making it again was not finished"
        else:
            reason = "it was never made" if known else "it is new in the book"
        waits = self._waits(ref)
        if waits and known:
            return None
        return Change(
            ref,
            "changed" if known else "added",
            None if waits else chapter_of(ref).action,
            tuple(filter(None, (reason, waits))),
            anew=not waits,
        )

    def _waits(self, ref: str) -> str:
        """Return what a first making waits for, empty if for nothing."""
        if ref in self._on_demand:
            return "a reaction makes it"
        if PREDICTIONS.holds(ref):
            return "the loop scores it once its model has a version"
        if MODELS.holds(ref) and self._manifest.models[ref_name(ref)].retrain:
            return "its retrain policy trains it once its data reach far enough"
        return self._lacking(ref)

    def _held_up(self, ref: str) -> str:
        """Return what the remaking of something waits for, empty if for nothing: views show what there is."""
        views = self._manifest.entities[ref].shows
        return "" if views and not self._waiting.intersection(self._manifest.reads(ref)) else self._lacking(ref)

    def _lacking(self, ref: str) -> str:
        """Return which of what an entity needs is not there, or waits itself; empty if it can be made."""
        # A pinned version is not read again when its model is trained, and is needed all the same.
        models = (other for other in self._manifest.upstream(ref) if MODELS.holds(other))
        needed = dict.fromkeys((*self._manifest.reads(ref), *models))
        lacking = [other for other in needed if other in self._waiting or not self._there(other)]
        return f"it waits for {', '.join(lacking)}" if lacking else ""

    def _there(self, ref: str) -> bool:
        built = self._past.built.get(ref)
        return ref in self._made or (built is not None and bool(built.partitions))

    def _is_stale(self, ref: str, made: BuiltPartition) -> bool:
        as_now = made.spec_hash == self._manifest.spec_hash(ref)
        return not as_now or dict(made.inputs) != self._manifest.lineage.inputs(ref)

    def _fit(self, ref: str, keys: tuple[str, ...]) -> bool:
        """Tell whether all keys are partitions of the book as it is; the loop may have gone on in others meanwhile."""
        scheme = self._manifest.partitions(ref)
        for key in filter(None, keys):
            try:
                if scheme is None or not scheme.window(key):
                    return False
            except ValueError:
                return False
        return True

    def _differences(self, ref: str, before: Mapping[str, Any]) -> tuple[Difference, ...]:
        entity = self._manifest.entities[ref]
        settled = {*entity.policy_fields, "after"}
        found = differences(before, entity_fields(entity))
        return tuple(each for each in found if each.path.split(".")[0].split("[")[0] not in settled)

    def _reasons(
        self, ref: str, built: Built, stale: tuple[str, ...], changed: tuple[Difference, ...]
    ) -> tuple[str, ...]:
        own = dict.fromkeys(f"{each.path} changed" for each in changed)
        if not own and any(built.partitions[key].spec_hash != self._manifest.spec_hash(ref) for key in stale):
            own = {"it was made from an earlier book": None}
        expected = self._manifest.lineage.inputs(ref)
        read = [
            other
            for other, lineage in expected.items()
            if any(built.partitions[key].inputs.get(other) != lineage for key in stale)
        ]
        gone = len(set(stale).intersection(self._past.lost.get(ref, ())))
        told = (f"{counted(gone, 'file')} of it {'is' if gone == 1 else 'are'} missing",) if gone else ()
        return (*own, *map(self._reading, read), *(() if own or read else self._of_data(ref)), *told)

    def _of_data(self, ref: str) -> tuple[str, ...]:
        """Return what of the inputs of ``ref`` holds other rows than it was made from, or is made again itself."""
        contents = Contents(self._manifest, self._past.built)
        partitions = self._past.built[ref].partitions
        keys = self._outdated.get(ref, frozenset())
        changed = {
            other
            for key in keys
            for other, token in contents.read(ref, key).items()
            if token != partitions[key].read.get(other, token)
        }
        told = [f"{other} holds other rows than it was made from" for other in sorted(changed)]
        again = [self._reading(other) for other in self._manifest.reads(ref) if other in self._made - changed]
        return (*told, *again)

    def _reading(self, other: str) -> str:
        if other in self._made:
            return f"reads {other}, which changes"
        return f"reads {other}" if other in self._waiting or not self._there(other) else f"read an earlier {other}"

    def _setting(self, ref: str) -> Change | None:
        """Return a change that makes nothing: of a policy, an order, a check or a reaction."""
        entity = self._manifest.entities[ref]
        before = self._past.fields(ref)
        watches = chapter_of(ref).action is None
        if before is None:
            return Change(ref, "added", None, ("it is new in the book",)) if watches else None
        settled = {*entity.policy_fields, "after"}
        found = tuple(
            each
            for each in differences(before, entity_fields(entity))
            if watches or each.path.split(".")[0].split("[")[0] in settled
        )
        reasons = tuple(dict.fromkeys(f"{each.path} changed" for each in found))
        return Change(ref, "changed", None, reasons, found) if found else None


def _seconds(built: Built, partitions: int) -> float | None:
    """Return an estimate from the runs that made what is there; None if nobody measured them."""
    known = [made.seconds for made in built.partitions.values() if made.seconds > 0]
    return round(median(known) * partitions, 1) if known else None

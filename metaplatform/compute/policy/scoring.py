"""Predictions the champion has not made yet, and labels that have become mature → runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from metaplatform.chapters import PREDICTIONS
from metaplatform.compute.policy.plans import RunPlan, run_key
from metaplatform.compute.policy.road import Road, Stock, labels_mature
from metaplatform.naming import ref_name
from metaplatform.specs.book.manifest import Manifest


@dataclass(frozen=True)
class VersionState:
    """The model version a prediction asks for, and the end of the rows it has learnt from (UTC).

    ``in_sample`` is whether the book lets it score those too.
    """

    version: int
    trained_until: datetime
    in_sample: bool = False


@dataclass(frozen=True)
class ScoringState:
    """What re-scoring and performance checks are planned from.

    ``wanted`` gives the version by prediction name. ``features`` gives the feature partitions there are,
    ``scored`` the model version that each scored partition was last asked of, both by prediction name (``""``
    where there are no partitions). ``judged`` holds (monitor, partition) pairs with realized performance.
    ``contents`` gives the fingerprint of what is stored of each scored partition, by prediction name: it
    tells a version that comes back from the one that was there before. ``built`` gives the partitions of
    each table (None: take every table to be there), ``busy`` the references that unfinished runs are making.
    ``known`` gives the moment as of which labels are known, by model (none given: ``now``).
    """

    wanted: Mapping[str, VersionState]
    features: Mapping[str, frozenset[str]]
    scored: Mapping[str, Mapping[str, int]]
    judged: frozenset[tuple[str, str]]
    contents: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    built: Mapping[str, frozenset[str]] | None = None
    busy: frozenset[str] = frozenset()
    known: Mapping[str, datetime] = field(default_factory=dict)


def plan_scoring(manifest: Manifest, state: ScoringState) -> tuple[RunPlan, ...]:
    """Return the runs that bring predictions to the version they ask for, with all that follows from them.

    The newest scored partition is redone when the version has changed, unless it has learnt from all of it; a
    partition that was never scored is, if it lies behind what the version has learnt from. History is never redone.
    """
    road, stock = Road(manifest), Stock(state.built, frozenset(state.wanted))
    plans: list[RunPlan] = []
    claimed: set[tuple[str, str]] = set()
    for ref in road.order:
        name = ref_name(ref)
        if not PREDICTIONS.holds(ref) or name not in state.wanted:
            continue
        for partition in _outdated(road, state, name):
            scheme = road.partitions[ref]
            selected = road.selection({ref}, stock, scheme=scheme, partition=partition)
            free = state.busy.isdisjoint(selected) and state.busy.isdisjoint(road.inputs(ref))
            # What is scored behind another prediction is scored in that one's run.
            if free and (ref, partition) not in claimed:
                plans.append(_plan(road, state, name, partition, selected))
            claimed |= {(other, partition if road.partitions[other] else "") for other in selected}
    return tuple(plans)


def _plan(road: Road, state: ScoringState, name: str, partition: str, selected: tuple[str, ...]) -> RunPlan:
    version, before = state.wanted[name].version, state.scored.get(name, {}).get(partition)
    stored = state.contents.get(name, {}).get(partition, "")
    hashes = [road.manifest.spec_hash(ref) for ref in selected]
    told = ": nothing is scored yet" if before is None else f" in place of version {before}"
    return RunPlan(
        key=run_key("scoring", name, partition, version, before, stored, *hashes),
        refs=selected,
        monitors=road.monitors(selected, partition, None),
        partition=partition,
        reason=f"version {version} scores{told}",
    )


def _outdated(road: Road, state: ScoringState, name: str) -> tuple[str, ...]:
    wanted, scored = state.wanted[name], state.scored.get(name, {})
    features = state.features.get(name, frozenset())
    scheme = road.partitions[PREDICTIONS.ref(name)]
    if scheme is None:
        return ("",) if features and scored.get("") != wanted.version else ()
    latest = max(scored, default="")
    changed = latest in features and scored[latest] != wanted.version
    redo = [latest] if changed and (wanted.in_sample or scheme.window(latest).end > wanted.trained_until) else []
    missed = sorted(features - set(scored))
    return (*redo, *(partition for partition in missed if scheme.window(partition).start >= wanted.trained_until))


def plan_performance(manifest: Manifest, state: ScoringState, now: datetime) -> tuple[RunPlan, ...]:
    """Return a run of each performance monitor for each scored partition whose labels are now mature."""
    plans = []
    known = {**dict.fromkeys(manifest.models, now), **state.known}
    for monitor in manifest.monitors.values():
        ref = monitor.prediction_ref
        if not monitor.waits_for_labels or manifest.partitions(ref) is None or ref in state.busy:
            continue
        for partition in sorted(state.scored.get(monitor.prediction, {})):
            judged = (monitor.name, partition) in state.judged
            if not judged and labels_mature(manifest, monitor, partition, known):
                plans.append(
                    RunPlan(
                        key=run_key("performance", monitor.name, partition, manifest.spec_hash(monitor.ref)),
                        refs=(),
                        monitors=(monitor.name,),
                        partition=partition,
                        reason=f"the labels of {partition} are mature",
                    )
                )
    return tuple(plans)

"""What a plan says of model versions: what they learnt is defined otherwise by now, and what that leaves unscored."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from metaplatform.chapters import MODELS, PREDICTIONS
from metaplatform.compute.changes.plan import Plan
from metaplatform.naming import ref_name
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.table_logs import TableLogs
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.inference import PredictionSpec
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.text.moments import shown
from metaplatform.text.plurals import counted
from metaplatform.work.inference import redefined_features
from metaplatform.work.label_counting import kept_counts, mature_until, prospect_of


def with_versions(plan: Plan, manifest: Manifest, registry: ModelRegistry, logs: TableLogs, now: datetime) -> Plan:
    """Return the plan with a word on each champion that is trained again because it learnt other definitions.

    And one on the rows that then have no prediction: no earlier version may score them in place of one that has
    learnt from them.
    """
    told: dict[str, str] = {}
    for change in plan.changes:
        model = manifest.models.get(ref_name(change.ref)) if MODELS.holds(change.ref) else None
        if model is None or change.state != "changed" or not (changed := _learnt_otherwise(manifest, model, registry)):
            continue
        told[change.ref] = changed
        if change.action is not None:
            told |= _unscored(plan, manifest, model, registry, logs, now)
    changes = (
        replace(change, reasons=(*change.reasons, told[change.ref])) if change.ref in told else change
        for change in plan.changes
    )
    return replace(plan, changes=tuple(changes))


def _learnt_otherwise(manifest: Manifest, model: ModelSpec, registry: ModelRegistry) -> str:
    champion = registry.champion(model.name)
    changed = redefined_features(manifest, champion, registry) if champion else ()
    if champion is None or not changed:
        return ""
    return (
        f"the champion, version {champion.version}, learnt another definition of {', '.join(changed)}: "
        "it scores nothing any more"
    )


def _unscored(
    plan: Plan, manifest: Manifest, model: ModelSpec, registry: ModelRegistry, logs: TableLogs, now: datetime
) -> dict[str, str]:
    """Return what is said of the predictions whose older rows the coming version alone could score."""
    able = [each for each in registry.champions(model.name) if not redefined_features(manifest, each, registry)]
    until = None if able else _learns_until(manifest, model, registry, logs, now)
    if until is None:
        return {}
    scored = model.feature_set_ref
    return {
        change.ref: found
        for change in plan.work
        if PREDICTIONS.holds(change.ref)
        and _asks_for_the_champion(spec := manifest.predictions[ref_name(change.ref)], model)
        and (found := _told(manifest, spec, change.partitions or logs.partitions(scored), until))
    }


def _asks_for_the_champion(spec: PredictionSpec, model: ModelSpec) -> bool:
    return spec.model == model.name and spec.version == "champion" and not spec.in_sample


def _learns_until(
    manifest: Manifest, model: ModelSpec, registry: ModelRegistry, logs: TableLogs, now: datetime
) -> datetime | None:
    """Return the end of what a training now would learn from, None without labelled rows."""
    mature = mature_until(manifest, model, logs, now)
    counts = kept_counts(manifest, model, logs, mature)
    found = prospect_of(model, counts, mature, champion=None, versions=registry.versions(model.name))
    if found is None:
        return None
    return found.bounds.cut if model.training.refit else found.bounds.holdout_start


def _told(manifest: Manifest, spec: PredictionSpec, keys: Collection[str], until: datetime) -> str:
    ref = spec.ref
    scheme = manifest.partitions(ref)
    lacking = sorted(key for key in keys if scheme.has(key) and scheme.window(key).start < until) if scheme else []
    if scheme and not lacking:
        return ""
    where = ""
    if lacking:
        span = lacking[0] if len(lacking) == 1 else f"{lacking[0]} to {lacking[-1]}"
        where = f" in {counted(len(lacking), 'partition')} ({span})"
    return (
        f"rows before {shown(until, manifest.zone(ref))}{where} will have no prediction, because the version that is "
        "trained learns from them; `in_sample: true` asks for their scores"
    )

"""Gathers what a model's retrain policy is asked with."""

from metaplatform.compute.policy.retraining import Refusal, TrainingState, taken_back
from metaplatform.factories.automation.state import Loop, unfit_features
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.records.ledger import Observation
from metaplatform.work.label_counting import kept_counts, mature_until, prospect_of


def training_state(loop: Loop, model: ModelSpec) -> TrainingState:
    """Return what the retrain policy of ``model`` is asked with: from what runs have kept, no data are read."""
    manifest = loop.manifest
    champion, versions = loop.registered.champion(model.name), loop.registered.versions(model.name)
    outdated = ""
    if champion and (unfit := unfit_features(loop, champion)):
        # It scores nothing any more: the model is trained as if it had none.
        outdated = f"version {champion.version} learnt another definition of {', '.join(unfit)}"
        champion = None
    mature = mature_until(manifest, model, loop.warehouse, loop.now)
    counts = kept_counts(manifest, model, loop.warehouse, mature)
    decisions = loop.decisions.of(model.name)
    retrains = [decision for decision in decisions if decision.outcome == "retrain"]
    refused = taken_back(decisions)
    judged = {promotion.promotion_id for promotion in loop.promotions.of(model.name)}
    training = model.ref in loop.busy
    ended = [] if training else [seen.decision_id for seen in retrains if seen.decision_id not in judged]
    newest = max(refused.values(), key=lambda seen: seen.decided_at, default=None)
    known_then = counts.cut(mature_until(manifest, model, loop.warehouse, newest.decided_at)) if newest else None
    return TrainingState(
        champion_version=champion.version if champion else None,
        prospect=prospect_of(model, counts, mature, champion=champion, versions=versions),
        retrains=retrains,
        observations=_counting_observations(loop, model),
        training=training,
        void=frozenset((*ended, *refused)),
        refusal=Refusal(newest.reasons, known_then) if newest else None,
        outdated=outdated,
        zone=manifest.zone(model.ref),
    )


def _counting_observations(loop: Loop, model: ModelSpec) -> list[Observation]:
    """Return the model's verdicts, less those of monitors that are gone, and profiles that a person has approved."""
    found = loop.verdicts.of(model.name)
    return [
        seen for seen in found if seen.monitor in loop.manifest.monitors and seen.observation_id not in loop.approved
    ]

"""One multiplexed sensor a concern: arrivals, scoring, performance, retraining, reactions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import dagster as dg

from metaplatform.chapters import MODELS, MONITORS, PREDICTIONS, SOURCES
from metaplatform.compute.policy.arrivals import plan_arrivals
from metaplatform.compute.policy.plans import RunPlan
from metaplatform.compute.policy.reacting import OpenMatches, open_matches, plan_reaction, told_of
from metaplatform.compute.policy.reading import plan_readings
from metaplatform.compute.policy.retraining import awaited_tick, decide, taken_back, wait_for_inputs
from metaplatform.compute.policy.scoring import plan_performance, plan_scoring
from metaplatform.compute.reaction_messages import hold_message, lifted_message
from metaplatform.errors import MetaplatformError
from metaplatform.factories.automation.run_requests import open_requests, standing_of
from metaplatform.factories.automation.state import (
    LOOP_RESOURCES,
    Loop,
    arrival_state,
    blocked_partitions,
    held_predictions,
    look_at_sources,
    loop_of,
    scoring_state,
)
from metaplatform.factories.automation.training_state import training_state
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.resources.storage.ledger import TABLES
from metaplatform.resources.storage.match_records import MatchRecords
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.monitoring import GATE
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.records.ledger import Decision, Observation
from metaplatform.work.training import DECISION_TAG

_TOLD_AGAIN = timedelta(minutes=5)
"""A tick that has nothing to ask for and finds something held up fails: so often, as failed ticks are kept for long."""


@dataclass(frozen=True)
class Plans:
    """What a look leads to: plans, notes for the tick's log, what is held up, and the new cursor."""

    plans: Sequence[RunPlan]
    notes: Sequence[str] = ()
    held: Sequence[str] = ()
    cursor: str | None = None


def build_sensors(manifest: Manifest, interval_seconds: int, mount: Mount = STANDALONE) -> list[dg.SensorDefinition]:
    """Return the loop's sensors; a concern the book has nothing of gets none."""
    concerns: list[tuple[str, Callable[[Loop, dg.SensorEvaluationContext], Plans], object]] = [
        ("arrivals", arrivals, manifest.sources),
        ("scoring", scoring, manifest.predictions),
        ("performance", performance, manifest.monitors),
        ("retraining", retraining, manifest.models),
        ("reactions", reactions, manifest.reactions),
    ]
    return [_sensor(manifest, name, plan, interval_seconds, mount) for name, plan, entities in concerns if entities]


def _sensor(
    manifest: Manifest,
    name: str,
    plan: Callable[[Loop, dg.SensorEvaluationContext], Plans],
    interval_seconds: int,
    mount: Mount,
) -> dg.SensorDefinition:
    complaint = _Complaint()

    @dg.sensor(
        name=mount.named(name),
        description=plan.__doc__,
        asset_selection=_made(manifest, mount),
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys=mount.all_named(*LOOP_RESOURCES, "notifier"),
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        loop = loop_of(context, manifest, mount, notifier=mount.resource(context, "notifier"))
        return _answer(name, loop, plan(loop, context), complaint, context)

    return evaluate


def _made(manifest: Manifest, mount: Mount) -> dg.AssetSelection:
    """Return what the loop asks runs for: of a location that others share, the book's assets and their checks."""
    if not mount.name:
        return dg.AssetSelection.all(include_sources=False)
    made = (ref for ref in manifest.assets if not MONITORS.holds(ref))
    return dg.AssetSelection.assets(*(mount.key(ref) for ref in made))


def _answer(
    name: str, loop: Loop, found: Plans, complaint: "_Complaint", context: dg.SensorEvaluationContext
) -> dg.SensorResult:
    """Ask for the runs that are open; fail where there are none and something waits for a person."""
    asked = open_requests(loop.manifest, context.instance, tuple(found.plans), loop.now, loop.mount)
    notes = (*found.notes, *found.held, *asked.notes)
    # A replay looks hundreds of times; what it decides is kept and summed up at its end.
    for note in () if loop.replaying else notes:
        context.log.info(note)
    held = (*found.held, *asked.stuck)
    if held and not asked.requests and not loop.replaying and complaint.is_due("; ".join(held), loop.now):
        raise MetaplatformError(owner=name, culprit="; ".join(held), fix="see docs/operations.md, 'At 3 a.m.'")
    skip = None if asked.requests else dg.SkipReason("; ".join(notes) or "nothing new")
    return dg.SensorResult(run_requests=list(asked.requests), skip_reason=skip, cursor=found.cursor)


class _Complaint:
    """What a code server has failed a tick for last: the same is said again after a while only."""

    def __init__(self) -> None:
        self._text = ""
        self._again: datetime | None = None

    def is_due(self, text: str, now: datetime) -> bool:
        if text == self._text and self._again is not None and now < self._again:
            return False
        self._text, self._again = text, now + _TOLD_AGAIN
        return True


def arrivals(loop: Loop, context: dg.SensorEvaluationContext) -> Plans:
    """Look at the sources' files; what is new or changed is read, then ingested and followed by all that it feeds."""
    looks, faults = look_at_sources(loop)
    readings = plan_readings(loop.manifest, looks, loop.now, busy=loop.busy, at_rest=loop.replaying)
    due = {
        name
        for name, plan in readings.plans.items()
        if standing_of(context.instance, plan, loop.now, loop.mount).status in {"due", "at work"}
    }
    plans = plan_arrivals(loop.manifest, arrival_state(loop, due | loop.reading), loop.now)
    blocked = [f"{SOURCES.ref(name)}: {told}" for (name, _), told in blocked_partitions(loop).items()]
    return Plans((*readings.plans.values(), *plans), readings.notes, (*faults, *blocked))


def scoring(loop: Loop, _context: dg.SensorEvaluationContext) -> Plans:
    """Bring predictions to the model version they ask for, after a promotion or a roll-back."""
    held = [f"{PREDICTIONS.ref(name)}: {why}; train it again" for name, why in held_predictions(loop).items()]
    return Plans(plan_scoring(loop.manifest, scoring_state(loop)), held=held)


def performance(loop: Loop, _context: dg.SensorEvaluationContext) -> Plans:
    """Judge predictions once their labels are mature."""
    return Plans(plan_performance(loop.manifest, scoring_state(loop), loop.now))


def retraining(loop: Loop, _context: dg.SensorEvaluationContext) -> Plans:
    """Ask each model's retrain policy; keep every decision, and train where one says so."""
    notes: list[str] = []
    asked: list[str] = []
    decided: list[Decision] = []
    for model in loop.manifest.models.values():
        if waits := loop.made_again_for(model.ref):
            notes.append(f"{model.name}: waits for {', '.join(waits)}, made of other rows than there are now")
            continue
        try:
            decision = decision_on(loop, model)
        except MetaplatformError as error:
            # One model's fault must not keep the others from their retrain.
            notes.append(f"{model.name}: {error}")
            continue
        asked.append(model.name)
        if decision is not None:
            decided.append(decision)
            notes.append(f"{model.name}: {decision.outcome}: {decision.reasons}")
    keep_decisions(loop, decided)
    return Plans([plan for name in asked for plan in pending_retrains(loop, name)], notes)


def keep_decisions(loop: Loop, decided: Sequence[Decision]) -> None:
    """Keep in one commit what is new of that which was decided at one moment."""
    known = {seen.decision_id for model in {each.model for each in decided} for seen in loop.decisions.of(model)}
    new = [decision for decision in decided if decision.decision_id not in known]
    number = loop.warehouse.row_count(TABLES[Decision]) or 0 if new else 0
    loop.ledger.append(*(replace(each, number=number + place) for place, each in enumerate(new)))
    loop.ledger.by(Decision, "model")  # of the loop's decisions these are some from now on


def decision_on(loop: Loop, model: ModelSpec, scheduled_for: datetime | None = None) -> Decision | None:
    """Return what the model's policy says now, and of which champion; ``scheduled_for`` is the cron tick that asks.

    A tick at which what the training reads is still to be made again waits, and is asked about when it is.
    """
    state = training_state(loop, model)
    if scheduled_for is not None and (inputs := loop.made_again_for(model.ref)):
        decision: Decision | None = wait_for_inputs(model, inputs, scheduled_for, loop.now)
    else:
        tick = scheduled_for or awaited_tick(model, loop.decisions.of(model.name))
        decision = decide(model, state, loop.now, scheduled_for=tick)
    if decision is None:
        return None
    return replace(decision, champion_version=state.champion_version)


def pending_retrains(loop: Loop, model: str) -> Iterator[RunPlan]:
    """Yield the newest retrain decision that no training has answered, not even by taking it back."""
    decisions = loop.decisions.of(model)
    newest = next((kept for kept in reversed(decisions) if kept.outcome == "retrain"), None)
    if newest is None or newest.decision_id in taken_back(decisions):
        return
    if all(judged.promotion_id != newest.decision_id for judged in loop.promotions.of(model)):
        yield retrain_plan(newest)


def retrain_plan(decision: Decision) -> RunPlan:
    """Return the run that answers a retrain decision."""
    return RunPlan(
        key=f"retrain-{decision.decision_id}",
        refs=(MODELS.ref(decision.model),),
        monitors=(),
        partition="",
        reason=f"retrain {decision.model}: {decision.reasons}",
        tags={DECISION_TAG: decision.decision_id},
    )


def reactions(loop: Loop, _context: dg.SensorEvaluationContext) -> Plans:
    """Let each reaction act on scored rows that it never acted on; a failed profile holds it back."""
    found = list(_open_matches(loop))
    for matches in found:
        _tell_of_hold(loop, matches)
    plans = [plan_reaction(matches) for matches in found if matches.due]
    return Plans(plans, [told_of(matches) for matches in found if not matches.due and matches.found.rows])


def _tell_of_hold(loop: Loop, matches: OpenMatches) -> None:
    """Tell the reaction's people that it is held back, and that it is no longer, once each."""
    reaction, partition, found, hold = matches.reaction, matches.partition, matches.found, matches.hold
    finding = hold.observation_id if hold else ""
    if loop.notifier is None or matches.at_work or finding == found.held:
        return
    if hold and found.rows < reaction.min_rows:
        return
    message = (
        hold_message(reaction, hold, found.rows, loop.now, loop.mount.path)
        if hold
        else lifted_message(reaction, partition, found.rows, found.held, loop.now, loop.mount.path)
    )
    loop.notifier.tell(message, reaction.notify)
    MatchRecords(loop.warehouse.root_path).hold(reaction.name, partition, finding)


def _open_matches(loop: Loop) -> Iterator[OpenMatches]:
    """Yield what reactions have to act on, from what the runs that scored it have kept; no data is read."""
    records = MatchRecords(loop.warehouse.root_path)
    kept = {name: records.read(name) for name in loop.manifest.reactions}
    if not any(kept.values()):
        return iter(())
    profiles = loop.ledger.by(Observation, "monitor", check=GATE, column="")
    scored = {loop.manifest.reactions[name].prediction for name, found in kept.items() if found}
    monitors = (name for name, monitor in loop.manifest.monitors.items() if monitor.prediction in scored)
    seen = [profile for name in monitors for profile in profiles.of(name)]
    return open_matches(loop.manifest, kept, seen, loop.approved, loop.at_work)

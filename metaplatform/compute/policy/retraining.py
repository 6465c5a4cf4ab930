"""The retrain policy: (policy, what a training would be made of, observations, now) → decision with its reasons."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from metaplatform.compute.label_counts import Prospect, Shortfall, shortfall
from metaplatform.compute.policy.triggers import Facts, calls_of, scheduled
from metaplatform.compute.policy.votes import Call, answered_by, failed_profile
from metaplatform.naming import stable_id
from metaplatform.specs.entities.training import ModelSpec, RetrainPolicy
from metaplatform.specs.records.ledger import HELD, Decision, Observation
from metaplatform.text.moments import shown

WINDOW_COVERED = 0.98
"""Share of the training window that data must span before the first version: the first row is never
exactly at its start."""
TAKES_BACK = "retrain/"
"""Begins the cause of a wait that takes a retrain back: the id of that decision follows."""
AWAITS = "awaits/"
"""Begins the cause of a wait for what a training reads: the cron tick follows that is asked about afterwards."""
_STEPS = 50
"""Waiting is kept at so many steps of the way at most, not at each tick."""


@dataclass(frozen=True)
class Refusal:
    """A training that could not be made of the rows there were: why, and the cut it had, or one later."""

    reasons: str
    cut: datetime | None


@dataclass(frozen=True)
class TrainingState:
    """What is known of a model when its policy is asked.

    ``champion_version`` is None before the first. ``prospect`` is what a training now would be made of, None
    without labelled rows. ``retrains`` are this model's earlier retrain decisions, ``observations`` its verdicts
    over all columns. ``training`` is whether an unfinished run trains the model. ``void`` names the retrains that
    led to no verdict: what they answered is open again; ``refusal`` tells of the newest that the rows did not allow.
    ``outdated`` says why a champion counts as none. Moments are shown in ``zone``.
    """

    champion_version: int | None
    prospect: Prospect | None
    retrains: Sequence[Decision]
    observations: Sequence[Observation]
    training: bool = False
    void: frozenset[str] = frozenset()
    refusal: Refusal | None = None
    outdated: str = ""
    zone: str = "UTC"


@dataclass(frozen=True)
class _Block:
    """What forbids a retrain now; ``basis`` tells it from what forbade it before."""

    text: str
    basis: tuple[object, ...]


def decide(
    model: ModelSpec, state: TrainingState, now: datetime, *, scheduled_for: datetime | None = None
) -> Decision | None:
    """Return the decision of ``model``'s policy, or None if there is nothing to decide.

    The same facts give the same ``decision_id``. ``scheduled_for`` is the cron tick that asks, if one does.
    A retrain answers its tick and all failures that had been seen by then: none of them asks again, the
    failures for this champion, the tick for any. One that led to no verdict answers nothing.
    """
    policy = model.retrain
    if policy is None:
        return None
    if state.champion_version is None:
        return _first(model, policy, state, now)
    calls = calls_of(policy, _facts(state, state.champion_version, scheduled_for))
    votes = [call for call in calls if call.seen]
    first = next((call for call in calls if call.asks), None)
    if first is None:
        reasons, seen = "; ".join(vote.text for vote in votes), (name for vote in votes for name in vote.seen)
        basis: tuple[object, ...] = (state.champion_version, "", *seen)
        return _decision(model, "wait", "", reasons, now, basis, held_by=_unasked(votes)) if votes else None
    text = "; ".join(call.text for call in calls if call is first or (call.asks and call.seen))
    basis = (state.champion_version, first.trigger, *first.basis, *sorted(state.void))
    if block := _blocked(model, policy, state, now):
        return _decision(model, "wait", first.trigger, text, now, (*basis, *block.basis), held_by=block.text)
    causes = sorted({cause for call in calls for cause in call.causes})
    return _decision(model, "retrain", first.trigger, text, now, basis, ", ".join(causes))


def _facts(state: TrainingState, version: int, scheduled_for: datetime | None) -> Facts:
    answering = [decision for decision in state.retrains if decision.decision_id not in state.void]
    new_rows = state.prospect.new_rows if state.prospect else 0
    return Facts(version, state.observations, new_rows, _ids(state), answered_by(answering), scheduled_for)


def take_back(retrain: Decision, reasons: str, now: datetime) -> Decision:
    """Return the wait that a retrain has ended in because its training cannot be made."""
    identity = stable_id("decision", "wait", retrain.model, TAKES_BACK, retrain.decision_id)
    held_by = f"a training cannot be made: {reasons}"
    told, causes = f"{retrain.reasons}{HELD}{held_by}", f"{TAKES_BACK}{retrain.decision_id}"
    return Decision(identity, retrain.model, "wait", retrain.trigger, told, now, causes, held_by=held_by)


def taken_back(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """Return the waits that took a retrain back, by the id of that retrain."""
    return {
        decision.causes.removeprefix(TAKES_BACK): decision
        for decision in decisions
        if decision.outcome == "wait" and decision.causes.startswith(TAKES_BACK)
    }


def wait_for_inputs(model: ModelSpec, inputs: Sequence[str], scheduled_for: datetime, now: datetime) -> Decision:
    """Return the wait of a cron tick at which ``inputs`` of the training are still to be made again."""
    held_by = f"it waits for {', '.join(inputs)}, made of other rows than there are now"
    instant = scheduled_for.astimezone(UTC).isoformat()
    basis, causes = (AWAITS, instant), f"{AWAITS}{instant}"
    return _decision(model, "wait", "schedule", scheduled(scheduled_for), now, basis, causes, held_by=held_by)


def awaited_tick(model: ModelSpec, decisions: Sequence[Decision]) -> datetime | None:
    """Return the cron tick that waits to be asked about again: nothing was decided since. None if there is none."""
    newest = max(decisions, key=lambda seen: (seen.decided_at, seen.number is None, seen.number or 0), default=None)
    if model.retrain is None or newest is None or not newest.causes.startswith(AWAITS):
        return None
    return datetime.fromisoformat(newest.causes.removeprefix(AWAITS)).astimezone(ZoneInfo(model.retrain.timezone))


def _unasked(votes: Iterable[Call]) -> str:
    """Return why failures ask for nothing."""
    if any(vote.answered for vote in votes):
        return "an earlier retrain has answered it"
    return "more failures are needed to ask for a retrain" if any(vote.causes for vote in votes) else ""


def _first(model: ModelSpec, policy: RetrainPolicy, state: TrainingState, now: datetime) -> Decision | None:
    """Decide on the first version: once the data suffices, and again after a cooldown if none came of it."""
    found = state.prospect
    if found is None:
        return None
    end, first_after = found.data.end, policy.first_after or model.training.window
    spanned, wanted = end - found.data.start, end - first_after.before(end)
    basis = ("first", *_ids(state))
    text = f"{state.outdated or 'no version yet'}, and {found.rows:,} labelled rows over {_span(spanned)}"
    if spanned < wanted * WINDOW_COVERED:
        steps = min(_STEPS, int(spanned / wanted * _STEPS))
        return _decision(
            model, "wait", "first", text, now, (*basis, "span", steps), held_by=f"{_span(wanted)} are needed"
        )
    if block := _blocked(model, policy, state, now):
        return _decision(model, "wait", "first", text, now, (*basis, *block.basis), held_by=block.text)
    return _decision(model, "retrain", "first", text, now, basis)


def _blocked(model: ModelSpec, policy: RetrainPolicy, state: TrainingState, now: datetime) -> _Block | None:
    """Return what forbids a training now: one at work, the cooldown, faulty data, or a lack of rows."""
    if state.training:
        return _Block("a training is under way", ("training",))
    if now < (until := _rest_until(policy, state, now)):
        return _Block(f"cooldown until {shown(until, state.zone, seconds=False)}", ("cooldown",))
    if profile := failed_profile(state.observations):
        where = f" of {profile.partition}" if profile.partition else ""
        text = f"the data{where} are at fault ({profile.monitor}: {profile.detail})"
        return _Block(text, ("profile", profile.monitor, profile.partition))
    return _short_of_rows(model, state)


def _short_of_rows(model: ModelSpec, state: TrainingState) -> _Block | None:
    """Return which rows a training lacks, in number, in kind or in newness."""
    found = state.prospect
    if found is None:
        return _Block("there is no labelled row", ("rows",))
    if missing := shortfall(model, found):
        return _Block(missing.text, (missing.kind, _progress(missing)))
    if state.refusal and state.refusal.cut is not None and found.bounds.cut <= state.refusal.cut:
        return _Block(f"no label has come since a training could not be made ({state.refusal.reasons})", ("refused",))
    return None


def _rest_until(policy: RetrainPolicy, state: TrainingState, now: datetime) -> datetime:
    """Return the end of the cooldown; ``now`` if there is none."""
    # The first version is not a retrain: data that shifts soon after it need not wait.
    counted = (seen for seen in state.retrains if seen.trigger != "first" or state.champion_version is None)
    last = max((decision.decided_at for decision in counted), default=None)
    return now if last is None else policy.cooldown.behind(last)


def _progress(missing: Shortfall) -> int:
    return min(_STEPS, missing.rows * _STEPS // missing.needed)


def _ids(state: TrainingState) -> tuple[str, ...]:
    """Return the earlier retrains: who asks after another retrain asks again."""
    return tuple(sorted(decision.decision_id for decision in state.retrains))


def _span(length: timedelta) -> str:
    return f"{length.days} days" if length >= timedelta(days=2) else f"{length / timedelta(hours=1):.1f} hours"


def _decision(
    model: ModelSpec,
    outcome: str,
    trigger: str,
    reasons: str,
    now: datetime,
    basis: tuple[object, ...],
    causes: str = "",
    *,
    held_by: str = "",
) -> Decision:
    identity = stable_id("decision", outcome, model.name, *basis)
    told = f"{reasons}{HELD}{held_by}" if held_by else reasons
    return Decision(identity, model.name, outcome, trigger, told, now, causes, held_by=held_by or None)

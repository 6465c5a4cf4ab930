"""The retrain policy: (policy, observations, now) → decision with its reasons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from metaplatform.compute.policy.votes import Vote, answered_by, votes_on
from metaplatform.naming import stable_id
from metaplatform.specs.records import Decision, Observation
from metaplatform.specs.training import ModelSpec, RetrainPolicy

WINDOW_COVERED = 0.98
"""Share of the training window that data must span before the first version: the first row is never
exactly at its start."""
_STEPS = 50
"""Waiting for the first version is kept at so many steps of the way at most, not at each tick."""


@dataclass(frozen=True)
class TrainingState:
    """What is known of a model when its policy is asked.

    ``champion_version`` is None before the first. ``data_start`` and ``cut`` bound the rows whose labels
    are mature; ``rows`` counts feature rows between them, ``new_rows`` those since the last training's
    end. ``retrains`` are this model's earlier retrain decisions, ``observations`` its verdicts over all columns.
    ``training`` is whether an unfinished run trains the model, ``last_cut`` the cut of its last training.
    """

    champion_version: int | None
    data_start: datetime | None
    cut: datetime | None
    rows: int
    new_rows: int
    retrains: Sequence[Decision]
    observations: Sequence[Observation]
    training: bool = False
    last_cut: datetime | None = None


@dataclass(frozen=True)
class _Trigger:
    """Why a retrain is asked for; ``basis`` tells this request from every other."""

    name: str
    text: str
    basis: tuple[object, ...]


def decide(
    model: ModelSpec, state: TrainingState, now: datetime, *, scheduled_for: datetime | None = None
) -> Decision | None:
    """Return the decision of ``model``'s policy, or None if there is nothing to decide upon.

    The same facts give the same ``decision_id``. ``scheduled_for`` is the cron tick that asks, if one does.
    A retrain answers its tick and all failures that had been seen by then: none of them asks again, the
    failures for this champion, the tick for any.
    """
    policy = model.retrain
    if policy is None:
        return None
    if state.champion_version is None:
        return _first(model, policy, state, now)
    votes = votes_on(policy, state.champion_version, state.observations, state.retrains)
    reasons = "; ".join(vote.text for vote in votes)
    trigger = _trigger(policy, state, votes, scheduled_for)
    if trigger is None:
        seen = (state.champion_version, "", *(name for vote in votes for name in vote.seen))
        return _decision(model, "wait", "", reasons, now, seen) if votes else None
    text = "; ".join(filter(None, (trigger.text, reasons)))
    basis = (state.champion_version, trigger.name, *trigger.basis)
    if blocked := _blocked(model, policy, state, now) or _nothing_newer(trigger, state):
        return _decision(model, "wait", trigger.name, f"{text}; but {blocked}", now, basis)
    causes = sorted({*_tick(scheduled_for), *(cause for vote in votes for cause in vote.causes)})
    return _decision(model, "retrain", trigger.name, text, now, basis, ", ".join(causes))


def _trigger(
    policy: RetrainPolicy, state: TrainingState, votes: tuple[Vote, ...], scheduled_for: datetime | None
) -> _Trigger | None:
    """Return the first trigger that asks: realized performance, drift, new rows, then the schedule."""
    for vote in votes:
        if vote.asks:
            return _Trigger(vote.trigger, "", vote.causes)
    if policy.new_rows is not None and state.new_rows >= policy.new_rows:
        return _Trigger("new_rows", f"{state.new_rows} new labelled rows", _ids(state))
    if scheduled_for is not None and answered_by(state.retrains).isdisjoint(_tick(scheduled_for)):
        return _Trigger("schedule", f"scheduled for {scheduled_for:%Y-%m-%d %H:%M %Z}", _tick(scheduled_for))
    return None


def _tick(scheduled_for: datetime | None) -> tuple[str, ...]:
    """Return the cron tick as a cause, the same in every time zone."""
    return (f"schedule/{scheduled_for.astimezone(UTC).isoformat()}",) if scheduled_for else ()


def _first(model: ModelSpec, policy: RetrainPolicy, state: TrainingState, now: datetime) -> Decision | None:
    """Decide on the first version: once the data suffices, and again after a cooldown if none came of it."""
    if state.data_start is None or state.cut is None or state.cut <= state.data_start:
        return None
    wanted = state.cut - (policy.first_after or model.training.window).before(state.cut)
    spanned, least = state.cut - state.data_start, model.training.min_rows
    basis = ("first", *_ids(state))
    text = f"no version yet, and {state.rows} rows over {_span(spanned)}"
    if spanned < wanted * WINDOW_COVERED or state.rows < least:
        steps = (int(spanned / wanted * _STEPS) if wanted else _STEPS, state.rows * _STEPS // least)
        text = f"{text}: {least} over {_span(wanted)} needed"
        return _decision(model, "wait", "first", text, now, (*basis, *(min(step, _STEPS) for step in steps)))
    if blocked := _blocked(model, policy, state, now):
        return _decision(model, "wait", "first", f"{text}; but {blocked}", now, basis)
    return _decision(model, "retrain", "first", text, now, basis)


def _blocked(model: ModelSpec, policy: RetrainPolicy, state: TrainingState, now: datetime) -> str:
    """Return what forbids a retrain now, ``""`` if nothing does."""
    if state.rows < model.training.min_rows:
        return f"only {state.rows} of {model.training.min_rows} rows"
    if state.training:
        return "a training is under way"
    # The first version is no retrain: data that shifts soon after it need not wait.
    counted = (seen for seen in state.retrains if seen.trigger != "first" or state.champion_version is None)
    last = max((decision.decided_at for decision in counted), default=None)
    if last is not None and now < (until := policy.cooldown.behind(last)):
        return f"cooldown until {until:%Y-%m-%d %H:%M %Z}"
    return ""


def _nothing_newer(trigger: _Trigger, state: TrainingState) -> str:
    """Return why failures would only make the same version again, ``""`` if labels have matured since the last."""
    failed = trigger.name in {"drift", "performance"}
    if failed and state.cut is not None and state.last_cut is not None and state.cut <= state.last_cut:
        return "no label has matured since the last training"
    return ""


def _ids(state: TrainingState) -> tuple[str, ...]:
    """Return the earlier retrains: who asks after another retrain asks anew."""
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
) -> Decision:
    identity = stable_id("decision", outcome, model.name, *basis)
    return Decision(identity, model.name, outcome, trigger, reasons, now, causes)

"""The moments of a replay that follow from what happened: a policy fires though nothing arrives."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import zip_longest

from metaplatform.compute.policy.retraining import decide
from metaplatform.errors import MetaplatformError
from metaplatform.factories.automation.state import Loop
from metaplatform.factories.automation.training_state import training_state
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.records.ledger import Decision

_HOUR = timedelta(hours=1)


def moments_between(look: Callable[[], Loop], ticks: Sequence[datetime]) -> Iterator[datetime]:
    """Yield ``ticks``, and between them each moment at which a retrain policy fires by the passing of time alone.

    Live, the loop looks all the time: a cooldown ends, or one more hour of labels has matured, between two arrivals.
    Whoever takes a moment plays it before asking for the next. ``look`` returns the loop as it is then.
    """
    for tick, upcoming in zip_longest(ticks, ticks[1:]):
        yield tick
        now = tick
        while upcoming is not None and (found := next_firing(look(), now, upcoming)) is not None:
            yield found
            now = found


def next_firing(loop: Loop, now: datetime, until: datetime) -> datetime | None:
    """Return the first moment in ``(now, until)`` at which a model's policy fires if nothing arrives, None if none."""
    found = (_first_firing(loop, model, now, until) for model in loop.manifest.models.values() if model.retrain)
    return min((moment for moment in found if moment is not None), default=None)


def _first_firing(loop: Loop, model: ModelSpec, now: datetime, until: datetime) -> datetime | None:
    """Look between the moments at which the policy may change its mind: once it fires, it would go on asking."""
    candidates = sorted({*_cooldown_ends(loop, model, now, until), *_maturing_hours(loop, model, now, until)})
    if not candidates or not _fires(loop, model, candidates[-1]):
        return None
    return candidates[bisect_left(candidates, True, key=lambda moment: _fires(loop, model, moment))]


def _fires(loop: Loop, model: ModelSpec, moment: datetime) -> bool:
    at = replace(loop, now=moment)
    try:
        decision = decide(model, training_state(at, model), moment)
    except MetaplatformError:
        # The sensor says what is wrong with the model when it is asked; the others go on.
        return False
    if decision is None or decision.outcome != "retrain":
        return False
    return not at.ledger.read(Decision, decision_id=decision.decision_id)


def _cooldown_ends(loop: Loop, model: ModelSpec, now: datetime, until: datetime) -> Iterator[datetime]:
    retrains = loop.ledger.read(Decision, model=model.name, outcome="retrain")
    if model.retrain and retrains and now < (end := model.retrain.cooldown.behind(retrains[-1].decided_at)) < until:
        yield end


def _maturing_hours(loop: Loop, model: ModelSpec, now: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the full hours at which labels of rows that have arrived become mature."""
    end = _rows_end(loop, model)
    mature = min(until, loop.manifest.label_delay(model).behind(end) + _HOUR) if end else now
    moment = now.replace(minute=0, second=0, microsecond=0) + _HOUR
    while moment < mature:
        yield moment
        moment += _HOUR


def _rows_end(loop: Loop, model: ModelSpec) -> datetime | None:
    """Return the end of the rows that the model could learn from, None if there are none."""
    ref = model.feature_set_ref
    if scheme := loop.manifest.partitions(ref):
        newest = max(loop.warehouse.partitions(ref), default=None)
        return scheme.window(newest).end if newest else None
    return loop.warehouse.newest(ref, str(loop.manifest.spine_of(model).event_timestamp))

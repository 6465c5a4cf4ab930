"""What can ask for a retrain: the triggers of a policy, each by what it goes by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from metaplatform.compute.policy.votes import Call, vote_on
from metaplatform.specs.entities.training import RetrainPolicy, VoteSpec
from metaplatform.specs.records.ledger import Observation


@dataclass(frozen=True)
class Facts:
    """What triggers go by: of the champion ``version``, of the rows, and of the model's earlier retrains.

    ``retrains`` are the ids of these, ``answered`` the causes that they have answered. ``scheduled_for`` is the cron
    tick that asks, if one does.
    """

    version: int
    observations: Sequence[Observation]
    new_rows: int
    retrains: tuple[str, ...]
    answered: frozenset[str]
    scheduled_for: datetime | None


class Trigger(Protocol):
    """A trigger, wherever a policy has it; what it is given in the book is a field of the policy."""

    def call(self, policy: RetrainPolicy, facts: Facts) -> Call | None:
        """Return what it says, None where the policy has no such trigger or there is nothing to say."""


@dataclass(frozen=True)
class Vote:
    """Failures that monitors have seen; ``name`` is the field of the policy that names them."""

    name: str

    def call(self, policy: RetrainPolicy, facts: Facts) -> Call | None:
        """Return what the monitors say together."""
        spec: VoteSpec | None = getattr(policy, self.name)
        return vote_on(facts.version, self.name, spec, facts.observations, facts.answered) if spec else None


class NewRows:
    """Labelled rows that the last training has not seen; another retrain makes it ask again."""

    def call(self, policy: RetrainPolicy, facts: Facts) -> Call | None:
        """Return that there are enough, if so."""
        if policy.new_rows is None or facts.new_rows < policy.new_rows:
            return None
        return Call("new_rows", f"{facts.new_rows:,} new labelled rows", asks=True, basis=facts.retrains)


class Schedule:
    """A tick of the policy's cron; it is answered by one retrain, whatever else has asked for that."""

    def call(self, policy: RetrainPolicy, facts: Facts) -> Call | None:
        """Return that the tick asks, unless it is answered; it is the same in every time zone."""
        del policy
        if facts.scheduled_for is None:
            return None
        tick = (f"schedule/{facts.scheduled_for.astimezone(UTC).isoformat()}",)
        asks = facts.answered.isdisjoint(tick)
        return Call("schedule", scheduled(facts.scheduled_for), asks=asks, basis=tick, causes=tick)


TRIGGERS: tuple[Trigger, ...] = (Vote("performance"), Vote("drift"), NewRows(), Schedule())
"""Every trigger: of those that ask, the first gives the reason."""


def calls_of(policy: RetrainPolicy, facts: Facts) -> tuple[Call, ...]:
    """Return what the triggers of a policy say, in their order."""
    found = (trigger.call(policy, facts) for trigger in TRIGGERS)
    return tuple(call for call in found if call is not None)


def scheduled(tick: datetime) -> str:
    """Return a cron tick as people read it."""
    return f"scheduled for {tick:%Y-%m-%d %H:%M} {tick.tzname()}"

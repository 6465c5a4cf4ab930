"""Over any history of observations, promotions and ticks: no retrain within the cooldown, or without its own cause."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.policy.retraining import TrainingState, decide
from metaplatform.specs.entities.training import ModelSpec, RetrainPolicy, VoteSpec
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.records.ledger import Decision, Observation
from metaplatform_tests.compute.policy.observing import (
    DRIFT,
    PERFORMANCE,
    START,
    model,
    policy,
    rows_for,
    seen,
    state,
    vote,
)

NEW_ROWS = 100
LEAST = 10
"""One in a hundred of the rows that a training is made of."""
Event = tuple[Any, ...]
PARTITIONS = [f"{number:02}" for number in range(6)]

observed = st.tuples(
    st.just("observed"),
    st.sampled_from([(DRIFT, "data_drift"), (DRIFT, "prediction_drift"), (PERFORMANCE, "roc_auc"), (DRIFT, "profile")]),
    st.sampled_from(["", *PARTITIONS]),
    st.sampled_from(["failed", "failed", "passed", "skipped"]),
    st.sampled_from([0.6, 0.7]),
)
passed_time = st.tuples(st.just("time"), st.floats(0.01, 15))
came = st.tuples(st.just("rows"), st.integers(0, 80))
trained = st.tuples(st.just("trained"), st.sampled_from(["promoted", "kept", "failed"]))
rolled_back = st.tuples(st.just("rolled back"))
asked = st.tuples(st.just("asked"), st.booleans())
events = st.lists(st.one_of(observed, observed, passed_time, came, trained, rolled_back, asked, asked), max_size=60)
votes = st.builds(
    lambda monitors, failures, more: vote(*monitors, failures=failures, of=failures + more),
    st.sampled_from([(DRIFT,), (PERFORMANCE,), (DRIFT, PERFORMANCE)]),
    st.integers(1, 3),
    st.integers(0, 2),
)
policies = st.builds(
    policy,
    cooldown=st.sampled_from([Duration(), Duration(seconds=86_400 * 5), Duration(months=1)]),
    drift=st.none() | votes,
    performance=st.none() | votes,
    new_rows=st.none() | st.just(NEW_ROWS),
)


@dataclass
class Loop:
    """A model's life as its policy sees it: decisions are kept by id, trainings end as the history says."""

    spec: ModelSpec
    now: datetime = START
    champion: int = 1
    newest: int = 1
    new_rows: int = 0
    training: bool = False
    observations: list[Observation] = field(default_factory=list)
    retrains: list[Decision] = field(default_factory=list)

    @property
    def state(self) -> TrainingState:
        return state(
            *self.observations,
            champion_version=self.champion,
            prospect=rows_for(new_rows=self.new_rows),
            retrains=tuple(self.retrains),
            training=self.training,
        )

    def ask(self, *, scheduled: bool) -> Decision | None:
        tick = self.now if scheduled else None
        decision = decide(self.spec, self.state, self.now, scheduled_for=tick)
        backwards = state(
            *reversed(self.observations),
            champion_version=self.champion,
            prospect=rows_for(new_rows=self.new_rows),
            retrains=tuple(reversed(self.retrains)),
            training=self.training,
        )
        again = decide(self.spec, backwards, self.now, scheduled_for=tick)
        assert decision == again, "the order in which facts are told decides"
        return decision

    def play(self, event: Event) -> None:
        match event:
            case ("observed", (monitor, check), partition, status, score):
                self.observations.append(
                    seen(
                        partition,
                        status,
                        check=check,
                        score=score,
                        monitor=monitor,
                        model_version=self.champion,
                        observed_at=self.now,
                        run_id=str(len(self.observations)),
                    )
                )
            case ("time", days):
                self.now += timedelta(days=days)
            case ("rows", count):
                self.new_rows += count
            case ("trained", result) if self.training:
                self.training = False
                if result != "failed":
                    self.newest, self.new_rows = self.newest + 1, 0
                if result == "promoted":
                    self.champion = self.newest
            case ("rolled back",) if self.champion > 1:
                self.champion -= 1
            case ("asked", scheduled):
                self.decided(self.ask(scheduled=scheduled), scheduled=scheduled)

    def decided(self, decision: Decision | None, *, scheduled: bool) -> None:
        if decision is None or decision.outcome != "retrain":
            return
        self.check(decision, scheduled=scheduled)
        self.retrains.append(decision)
        self.training = True

    def check(self, decision: Decision, *, scheduled: bool) -> None:
        retrain = self.spec.retrain
        assert not self.training
        assert self.new_rows >= LEAST, "next to nothing new passed for new"
        assert decision.decision_id not in {before.decision_id for before in self.retrains}
        assert all(
            self.now >= retrain.cooldown.behind(before.decided_at)
            for before in self.retrains
            if before.trigger != "first" or self.champion is None
        )
        match decision.trigger:
            case "schedule":
                assert scheduled
                assert not any(f"schedule/{self.now.isoformat()}" in before.causes for before in self.retrains)
            case "new_rows":
                assert self.new_rows >= NEW_ROWS
            case trigger:
                spec = getattr(retrain, trigger)
                answered = {cause for before in self.retrains for cause in before.causes.split(", ")}
                fresh = set(decision.causes.split(", ")) - answered
                assert fresh & self.failing(spec), "an earlier retrain has answered this"

    def failing(self, spec: VoteSpec) -> set[str]:
        """Return the causes that the champion's evaluations give, told in the plainest way."""
        newest: dict[tuple[str, str], dict[str, str]] = {}
        for found in sorted(self.observations, key=lambda found: (found.observed_at, found.observation_id)):
            judged = found.monitor in spec.monitors and found.model_version == self.champion
            if judged and found.check != "profile" and found.status != "skipped":
                occasion = found.partition or found.observed_at.isoformat()
                newest.setdefault((occasion, found.monitor), {})[found.check] = found.status
        return {
            f"{monitor}/v{self.champion}/{occasion}"
            for (occasion, monitor), statuses in newest.items()
            if "failed" in statuses.values()
        }


@given(policies, events)
def test_no_retrain_comes_within_the_cooldown_or_twice_for_one_cause_or_without_any(
    chosen: RetrainPolicy, history: list[Event]
) -> None:
    loop = Loop(model(chosen))
    for event in history:
        loop.play(event)


@given(policies, events, st.sampled_from(["asked by cron", "asked by a sensor"]), st.integers(1, 10_000))
def test_deciding_again_on_the_same_facts_gives_the_same_id(
    chosen: RetrainPolicy, history: list[Event], asker: str, seconds: int
) -> None:
    loop = Loop(model(chosen))
    for event in history:
        loop.play(event)
    tick = loop.now if asker == "asked by cron" else None
    first = decide(loop.spec, loop.state, loop.now, scheduled_for=tick)
    later = decide(loop.spec, loop.state, loop.now + timedelta(microseconds=seconds), scheduled_for=tick)
    if first is None or later is None:
        assert first is later
    elif first.outcome == later.outcome:
        assert first.decision_id == later.decision_id
    else:
        assert (first.outcome, later.outcome) == ("wait", "retrain"), "only the end of a cooldown changes anything"


@given(policies, events)
def test_a_decision_that_is_known_is_not_made_again(chosen: RetrainPolicy, history: list[Event]) -> None:
    loop = Loop(model(chosen))
    for event in history:
        loop.play(event)
    decision = loop.ask(scheduled=False)
    if decision and decision.outcome == "retrain" and decision.trigger != "new_rows":
        loop.retrains.append(decision)
        again = decide(loop.spec, loop.state, loop.now + timedelta(days=4_000))
        assert again is None or again.outcome == "wait" or again.trigger == "new_rows"

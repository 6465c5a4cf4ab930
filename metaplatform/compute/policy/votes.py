"""What the monitors of a model say together: the newest evaluations, and which failures are news."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC

from metaplatform.specs.entities.monitoring import GATE
from metaplatform.specs.entities.training import VoteSpec
from metaplatform.specs.records.ledger import Decision, Observation


@dataclass(frozen=True)
class Call:
    """What one trigger of a retrain policy says.

    ``asks`` is whether it wants a retrain; ``basis`` tells this request from every other. ``causes`` names what a
    retrain now would answer; where an earlier one has answered all of it, it is ``answered``. ``seen`` names what
    monitors have said of it, each with its status; it is empty where none are asked.
    """

    trigger: str
    text: str
    asks: bool
    basis: tuple[object, ...] = ()
    causes: tuple[str, ...] = ()
    answered: bool = False
    seen: tuple[str, ...] = ()


Evaluation = Sequence[Observation]
"""The verdicts of one monitor on one occasion, one for each of its checks."""


def vote_on(
    version: int, trigger: str, spec: VoteSpec, observations: Iterable[Observation], answered: frozenset[str]
) -> Call | None:
    """Return the vote of a trigger's monitors on a model version: their newest evaluations; None without any.

    It asks if enough of these failed, and no earlier retrain has answered all that did. Neither the order of the
    observations, nor their repetition, nor their ids change anything.
    """
    judged = sorted(
        (seen for seen in observations if seen.monitor in spec.monitors and _counts(seen, version)),
        key=lambda seen: (seen.observed_at, seen.observation_id),
    )
    evaluations = _evaluations(judged)[-spec.of :]
    if not evaluations:
        return None
    failed = [evaluation for evaluation in evaluations if _failed(evaluation)]
    causes = tuple(sorted(_cause(evaluation) for evaluation in failed))
    told = [seen for evaluation in failed for seen in evaluation if seen.status == "failed"] or evaluations[-1]
    enough, is_answered = len(failed) >= spec.failures, answered.issuperset(causes)
    return Call(
        trigger=trigger,
        text=f"{trigger}: {len(failed)} of {len(evaluations)} failed ({', '.join(_told(seen) for seen in told)})",
        asks=enough and not is_answered,
        basis=causes,
        causes=causes,
        answered=enough and is_answered,
        seen=tuple(f"{_cause(evaluation)}/{_failed(evaluation)}" for evaluation in evaluations),
    )


def answered_by(retrains: Iterable[Decision]) -> frozenset[str]:
    """Return the causes that earlier retrains have answered."""
    return frozenset(cause for decision in retrains for cause in decision.causes.split(", "))


def failed_profile(observations: Iterable[Observation]) -> Observation | None:
    """Return a profile that failed and of which no later one of its monitor has passed, None if all is well.

    Later is a later partition, or the same one judged again; at one moment, as in a replay, of a newer version.
    """
    newest: dict[str, Observation] = {}
    profiles = (seen for seen in observations if seen.check == GATE and not seen.column)
    for seen in sorted(profiles, key=_moment_of_profile):
        if seen.status != "skipped":
            newest[seen.monitor] = seen
    return next((newest[name] for name in sorted(newest) if newest[name].status == "failed"), None)


def _counts(seen: Observation, version: int) -> bool:
    # A promoted version starts with a clean slate: what was said of others is not about it.
    return seen.model_version == version and seen.status != "skipped" and seen.check != GATE and not seen.column


def _evaluations(judged: Iterable[Observation]) -> list[Evaluation]:
    """Group verdicts by occasion and monitor, the newest of each check, oldest occasion first."""
    latest: dict[tuple[str, str], dict[str, Observation]] = {}
    for seen in judged:
        latest.setdefault((_occasion(seen), seen.monitor), {})[seen.check] = seen
    evaluations: list[Evaluation] = []
    said: dict[str, object] = {}
    for (_, monitor), checks in sorted(latest.items(), key=lambda entry: entry[0]):
        # By name: ids differ from run to run, and reasons must not.
        evaluation = tuple(checks[name] for name in sorted(checks))
        verdict = {seen.check: (seen.status, seen.score, seen.rows) for seen in evaluation}
        # Where no partition names the rows that were judged, the same numbers again are the same rows again.
        if evaluation[0].partition or said.get(monitor) != verdict:
            evaluations.append(evaluation)
        said[monitor] = verdict
    return evaluations


def _occasion(seen: Observation) -> str:
    """Return what was judged: the partition, or the moment where there are none."""
    return seen.partition or seen.observed_at.astimezone(UTC).isoformat()


def _failed(evaluation: Evaluation) -> bool:
    return any(seen.status == "failed" for seen in evaluation)


def _cause(evaluation: Evaluation) -> str:
    first = evaluation[0]
    return f"{first.monitor}/v{first.model_version}/{_occasion(first)}"


def _told(seen: Observation) -> str:
    where = f"{seen.partition} " if seen.partition else ""
    score = "" if seen.score is None else f" {seen.score:.3g}"
    limit = "" if seen.threshold is None else f" against {seen.threshold:.3g}"
    return f"{where}{seen.check}{score}{limit}"


def _moment_of_profile(seen: Observation) -> tuple[object, ...]:
    # Ids follow from those of runs, which are random.
    return seen.partition, seen.observed_at, seen.model_version, seen.observation_id

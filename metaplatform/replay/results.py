"""What a replay found, as values: a row for each prediction and partition, and the totals."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from metaplatform.specs.records.ledger import Action, Decision, Observation, Promotion
from metaplatform.text.numbers import metric_text


@dataclass(frozen=True)
class ReplayRow:
    """One scored partition.

    ``drift_share`` is the share of drifted features; ``champion`` the version that scored the partition first and
    ``live`` its realized ``metric`` (without partitions: the newest whose rows have labels, and the first score of each
    row, whose ever it is); ``first`` is that of the model's first version on the same rows, but those it has learnt
    from. ``decision`` is
    ``retrain`` or ``wait`` with its ``reason``, ``promotion`` what became of the challenger. ``unjudged`` names the
    checks of monitors that could not judge the partition, each with why.
    """

    prediction: str
    partition: str
    rows: int
    drift_share: float | None
    champion: int
    metric: str
    live: float | None
    first: float | None
    decision: str
    reason: str
    promotion: str
    actions: int
    unjudged: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ReplayResult:
    """All rows in time order; ``seconds`` and ``peak_mib`` are of the replaying process.

    ``notes`` tell what it did not come to, and why. ``failure`` is the error that ended it at ``reached`` (ISO 8601)
    before its time, ``None`` if none did. People are shown moments in ``zone``.
    """

    rows: tuple[ReplayRow, ...]
    runs: int
    seconds: float
    peak_mib: float
    root: str
    notes: tuple[str, ...] = ()
    reached: str = ""
    failure: str | None = None
    zone: str = "UTC"

    def to_json(self) -> str:
        """Return the result for machines."""
        return json.dumps(asdict(self), indent=2, allow_nan=False)


@dataclass(frozen=True)
class Period:
    """What the loop kept of the time from one partition's end to the next one's."""

    decisions: tuple[Decision, ...]
    promotions: tuple[Promotion, ...]
    actions: tuple[Action, ...]

    @property
    def decision(self) -> Decision | None:
        """Return the decision that tells most: one that fired, or else the newest."""
        fired = tuple(decision for decision in self.decisions if decision.outcome == "retrain")
        return next(reversed(fired or self.decisions), None)

    @property
    def promotion(self) -> str:
        """Return the promotion verdicts, for people; of one moment, those of earlier versions first."""
        ordered = sorted(self.promotions, key=lambda kept: (kept.decided_at, kept.challenger_version))
        return "; ".join(told(promotion) for promotion in ordered)


def told(promotion: Promotion) -> str:
    """Return a promotion verdict in a few words."""
    said = f"v{promotion.challenger_version} {promotion.outcome}"
    if promotion.gain is not None:
        return f"{said} ({promotion.metric} {metric_text(promotion.gain, signed=True)})"
    # Of a first version there is nobody to compare with.
    return said if promotion.champion_version is None else f"{said}, not compared: {promotion.reasons}"


def drift_share(observations: list[Observation], prediction_monitors: frozenset[str], partition: str) -> float | None:
    """Return the share of drifted features when the partition was first judged, None if it was not."""
    judged = [
        seen
        for seen in observations
        if seen.monitor in prediction_monitors
        and seen.partition == partition
        and seen.check == "data_drift"
        and not seen.column
    ]
    # A version promoted at the same moment scores the partition again, and is judged as well.
    first = min(judged, key=lambda seen: (seen.observed_at, seen.model_version), default=None)
    return first.score if first else None


def unjudged(
    observations: Iterable[Observation], prediction_monitors: frozenset[str], partition: str
) -> tuple[tuple[str, str], ...]:
    """Return the checks (``monitor check``) that have not judged a partition in the end, each with why."""
    newest: dict[str, Observation] = {}
    for seen in sorted(observations, key=lambda found: (found.observed_at, found.model_version)):
        if seen.monitor in prediction_monitors and seen.partition == partition and not seen.column:
            newest[f"{seen.monitor} {seen.check}"] = seen
    return tuple((name, seen.detail) for name, seen in sorted(newest.items()) if seen.status == "skipped")

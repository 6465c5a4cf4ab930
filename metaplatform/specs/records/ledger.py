"""What the loop keeps: arrivals, approvals, observations, decisions, actions: each a row of its own table."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Arrival:
    """A source's content as it was ingested; ``fingerprint`` tells a later change apart."""

    arrival_id: str
    source: str
    partition: str
    fingerprint: str
    rows: int
    quarantined: int
    arrived_at: datetime
    run_id: str


@dataclass(frozen=True)
class Approval:
    """A person's consent that what was found of ``subject`` (``raw.orders``), in ``partition``, does not hold it back.

    ``finding`` tells what was approved from what may be found later; ``reason`` is the person's.
    """

    approval_id: str
    subject: str
    partition: str
    finding: str
    reason: str
    approved_at: datetime


@dataclass(frozen=True)
class Observation:
    """One judged score of a monitor.

    ``check`` names what was judged (``data_drift``, ``prediction_drift``, ``profile``, ``roc_auc``, ...);
    ``column`` the column it is about, or ``""`` for the verdict over all columns. ``status`` is ``passed``,
    ``failed`` or ``skipped`` (too little to judge). ``partition`` is ``""`` where there are none.
    """

    observation_id: str
    monitor: str
    kind: str
    model: str
    model_version: int
    check: str
    column: str
    partition: str
    score: float | None
    threshold: float | None
    rows: int
    status: str
    detail: str
    observed_at: datetime
    run_id: str


HELD = "; but "
"""Stands in the reasons of a decision before what forbids a retrain."""


@dataclass(frozen=True)
class Decision:
    """What a policy said, whether it fired or not.

    ``decision_id`` is derived from what was decided on, so deciding again gives the same row.
    ``outcome`` is ``retrain`` or ``wait``; ``trigger`` is ``first``, ``drift``, ``performance``,
    ``new_rows``, ``schedule`` or ``""``; ``reasons`` is for people. ``causes`` names what a retrain
    answers, comma-separated: failed evaluations (``monitor/v<version>/<partition>``) and the cron tick. A retrain
    that could not be made is taken back by a ``wait`` whose cause is ``retrain/<decision_id>``: what it answered
    is open again. A cron tick that waits for what the training reads is ``awaits/<tick>``.
    ``champion_version`` is the champion's then, None before the first. ``number`` counts the decisions kept
    before: those of one moment happened in its order. ``held_by`` is what forbids a retrain that is asked for, or why
    failures ask for none; with it ``reasons`` end. None where nothing does, and in rows of earlier releases.
    """

    decision_id: str
    model: str
    outcome: str
    trigger: str
    reasons: str
    decided_at: datetime
    causes: str = ""
    champion_version: int | None = None
    number: int | None = None
    held_by: str | None = None

    @property
    def seen(self) -> str:
        """Return the reasons without what held it."""
        return self.reasons.removesuffix(f"{HELD}{self.held_by}")


@dataclass(frozen=True)
class Promotion:
    """The verdict on a challenger: ``promoted`` or ``kept`` (the champion stays), with the paired gain.

    ``gain`` is in the metric's better direction, ``lower_bound`` its one-sided confidence bound.
    ``champion_version`` is None for a model's first version.
    """

    promotion_id: str
    model: str
    challenger_version: int
    champion_version: int | None
    outcome: str
    metric: str
    champion_score: float | None
    challenger_score: float | None
    gain: float | None
    lower_bound: float | None
    rows: int
    reasons: str
    decided_at: datetime
    run_id: str


@dataclass(frozen=True)
class Action:
    """A reaction that acted: once for each ``(reaction, partition, model_version)``."""

    action_id: str
    reaction: str
    prediction: str
    partition: str
    model_version: int
    rows: int
    materialized: str
    notified: str
    acted_at: datetime
    run_id: str

"""Drift: does what is scored still look like what the champion was trained on? Evidently judges, on digests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from metaplatform.compute.digest import Digest
from metaplatform.compute.drift_frames import Comparison, compare
from metaplatform.compute.evidently_report import (
    FAULTS_OF_DATA,
    Verdict,
    comparison_page,
    judge_comparison,
    with_heading,
)
from metaplatform.compute.findings import Finding, Status, number
from metaplatform.compute.profile import unjudgeable
from metaplatform.specs.entities.monitoring import DriftMonitor
from metaplatform.text.plurals import counted

_TABLE = ("column", "distance", "threshold", "", "")
_SAID = {None: "not judged", True: "drifted", False: "as before"}


@dataclass(frozen=True)
class ColumnDrift:
    """The verdict on one column; ``drifted`` is None, and ``reason`` says why, where it was not judged."""

    column: str
    method: str = ""
    score: float | None = None
    threshold: float | None = None
    drifted: bool | None = None
    reason: str = ""

    @property
    def status(self) -> Status:
        """Return the verdict as the status of a finding."""
        return "skipped" if self.drifted is None else "failed" if self.drifted else "passed"

    def finding(self, check: str) -> Finding:
        """Return the verdict as a finding of ``check``."""
        detail = self.reason or f"{self.method} distance from the reference"
        return Finding(check, self.column, self.score, self.threshold, self.status, detail)


@dataclass(frozen=True)
class DriftResult:
    """Drift of the features (``columns``, the share of drifted ones among those judged) and of the score.

    ``comparisons`` are what was judged, ``facts`` head the report.
    """

    columns: tuple[ColumnDrift, ...]
    score: ColumnDrift
    drift_share: float | None
    share_limit: float
    data_drift: Status
    prediction_drift: Status
    comparisons: Sequence[Comparison] = field(default=(), repr=False)
    facts: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def html(self) -> str:
        """Evidently's report, drawn when it is asked for, the worst column first; ``""`` if there is none to draw."""
        ranked = {column.column: column for column in (*self.columns, self.score)}
        judged = sorted(self.comparisons, key=lambda found: _rank(ranked[found.column]))
        page = _drawn(judged, self.facts)
        return _headed(self, page) if page else ""

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        """Return the drifted features, furthest over their threshold first."""
        drifted = [column for column in self.columns if column.drifted]
        return tuple(sorted(drifted, key=lambda column: (-_excess(column), column.column)))

    def findings(self) -> tuple[Finding, ...]:
        """Return both verdicts, then one finding for each feature; the prediction's names its column."""
        judged = sum(column.drifted is not None for column in self.columns)
        detail = f"{len(self.drifted)} of {judged} features drifted"
        if self.drifted:
            detail += ": " + ", ".join(column.column for column in self.drifted[:10])
        if not judged:
            detail = next((column.reason for column in self.columns if column.reason), "there is nothing to judge")
        verdict = Finding("data_drift", "", self.drift_share, self.share_limit, self.data_drift, detail)
        return (verdict, self.score.finding("prediction_drift"), *(c.finding("data_drift") for c in self.columns))


def _excess(column: ColumnDrift) -> float:
    return (column.score or 0.0) / (column.threshold or 1.0)


def detect_drift(
    reference: Digest, current: Digest, monitor: DriftMonitor, *, score_column: str, metadata: Mapping[str, str]
) -> DriftResult:
    """Return Evidently's verdicts on each column of the reference that the monitor does not exclude.

    A column with fewer values than the monitor's ``min_rows`` on either side, of another kind, or
    missing, is skipped with the reason and counts neither as drifted nor as judged: the profile reports
    its fault. The reference's scores should be out of sample, as the current ones are. ``metadata``
    heads the report.
    """
    names = [name for name in reference.names if name not in monitor.exclude and name != score_column]
    prepared = {name: _prepare(name, reference, current, monitor) for name in (*names, score_column)}
    comparisons = [found for found in prepared.values() if isinstance(found, Comparison)]
    facts = {"reference rows": f"{reference.rows:,}", "current rows": f"{current.rows:,}", **metadata}
    verdicts, faults = _judge(comparisons)
    drifts = {name: _column_drift(name, faults.get(name, found), verdicts) for name, found in prepared.items()}
    columns = tuple(drifts[name] for name in names)
    share = _share(columns)
    return DriftResult(
        columns=columns,
        score=drifts[score_column],
        drift_share=share,
        share_limit=monitor.drift_share,
        data_drift="skipped" if share is None else "failed" if share >= monitor.drift_share else "passed",
        prediction_drift=drifts[score_column].status,
        comparisons=[found for found in comparisons if found.column in verdicts],
        facts=facts,
    )


def _headed(result: DriftResult, page: str) -> str:
    """Return the report with what was found above it, the worst column first."""
    judged = sum(column.drifted is not None for column in result.columns)
    scores = {None: "were not judged", True: "drifted, too", False: "did not"}[result.score.drifted]
    verdict = f"{len(result.drifted)} of {counted(judged, 'feature')} drifted; the scores {scores}"
    told = [
        (column.column, number(column.score), number(column.threshold), _SAID[column.drifted], _how(column))
        for column in sorted((*result.columns, result.score), key=_rank)
    ]
    return with_heading(page, result.facts, verdict=verdict, table=[_TABLE, *told])


def _how(column: ColumnDrift) -> str:
    return column.reason or f"{column.method} distance"


def _rank(column: ColumnDrift) -> tuple[bool, float, str]:
    return column.drifted is None, -_excess(column), column.column


def _judge(comparisons: Sequence[Comparison]) -> tuple[Mapping[str, Verdict], Mapping[str, str]]:
    """Return the verdicts, and why other columns have none: what fails on one column spares the rest."""
    verdicts: dict[str, Verdict] = {}
    faults: dict[str, str] = {}
    for found in comparisons:
        try:
            verdicts[found.column] = judge_comparison(found)
        except FAULTS_OF_DATA as error:
            said = next(iter(str(error).splitlines()), type(error).__name__)
            faults[found.column] = f"Evidently cannot compare these values: {said}"
    return verdicts, faults


def _drawn(comparisons: Sequence[Comparison], facts: Mapping[str, str]) -> str:
    """Return the report of the comparisons that can be drawn, ``""`` if there is none."""
    if not comparisons:
        return ""
    try:
        return comparison_page(comparisons, facts=facts)
    except FAULTS_OF_DATA:
        sound = [found for found in comparisons if len(comparisons) > 1 and _drawn([found], facts)]
        return comparison_page(sound, facts=facts) if sound else ""


def _prepare(name: str, reference: Digest, current: Digest, monitor: DriftMonitor) -> Comparison | str:
    before, after = reference.column(name), current.column(name)
    reason = unjudgeable(before, after, min_values=monitor.min_rows)
    if reason or before is None or after is None:
        return reason
    return compare(before, after, threshold=monitor.threshold)


def _column_drift(name: str, found: Comparison | str, verdicts: Mapping[str, Verdict]) -> ColumnDrift:
    if isinstance(found, str):
        return ColumnDrift(name, reason=found)
    verdict = verdicts[name]
    return ColumnDrift(name, found.method, verdict.score, found.threshold, verdict.drifted)


def _share(columns: Sequence[ColumnDrift]) -> float | None:
    judged = [column for column in columns if column.drifted is not None]
    return sum(bool(column.drifted) for column in judged) / len(judged) if judged else None

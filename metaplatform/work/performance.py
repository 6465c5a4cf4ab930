"""Judges predictions whose labels are mature, by a version that was not trained on those rows.

Monitors, their pages and the summary of a replay all ask ``realized_rows``: there is one rule of which score counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt

from metaplatform.chapters import PREDICTIONS
from metaplatform.compute.chosen_rows import in_partition
from metaplatform.compute.evaluation import evaluate
from metaplatform.compute.evidently_performance import performance_report
from metaplatform.compute.features import usable_labels
from metaplatform.compute.findings import Finding
from metaplatform.compute.performance import EarlierScore, judge_performance
from metaplatform.compute.training import LABEL
from metaplatform.naming import history_ref
from metaplatform.resources.engine.session import Session
from metaplatform.resources.models.model_registry import ModelVersion
from metaplatform.specs.entities.inference import SCORE_COLUMNS
from metaplatform.specs.entities.monitoring import PerformanceMonitor
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.fields.partitions import Window
from metaplatform.specs.records.ledger import Observation
from metaplatform.work.judged import Judged
from metaplatform.work.keys import check_key
from metaplatform.work.label_maturity import labels_known_at
from metaplatform.work.labelled_rows import labels_of
from metaplatform.work.steps import Step, picture_link


@dataclass(frozen=True)
class Realized:
    """Labels and scores of rows from ``since`` on, in one order; no version where none that scored may be judged."""

    version: ModelVersion | None
    labels: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    since: datetime | None = None


_NOTHING = Realized(None, np.empty(0), np.empty(0))
_SCORE, _TURN = "_score", "_turn"


def judge_realized(step: Step, monitor: PerformanceMonitor) -> Judged:
    """Return a verdict for each metric on the rows of the step's partition whose labels are mature."""
    model = step.manifest.models[step.manifest.predictions[monitor.prediction].model]
    realized = realized_rows(step, monitor.prediction, model)
    version = realized.version
    if version is None:
        reason = "no version has scored these rows that was not trained on rows of the same time"
        skipped = [Finding(metric, "", None, None, "skipped", reason) for metric in monitor.metrics]
        return Judged({finding.check: finding for finding in skipped}, {}, model.name, 0, 0, {})
    evaluation = evaluate(realized.labels, realized.scores, model.task)
    earlier = earlier_scores(step, monitor, version)
    findings = judge_performance(evaluation.scores, evaluation.rows, monitor, earlier, evaluation.undefined)
    links: dict[str, Any] = {}
    if evaluation.rows >= monitor.min_rows:
        facts = {
            "prediction": monitor.prediction,
            "partition": step.partition or "all",
            "version": str(version.version),
        }
        links = picture_link(
            step,
            lambda: performance_report(realized.labels, realized.scores, model.task, metadata=facts),
            failed=any(finding.status == "failed" for finding in findings),
            name=monitor.name,
            part=f"{step.partition or 'all'}-v{version.version}",
        )
    verdicts = {finding.check: finding for finding in findings}
    return Judged(verdicts, {}, model.name, version.version, evaluation.rows, links)


def earlier_scores(step: Step, monitor: PerformanceMonitor, version: ModelVersion) -> dict[str, EarlierScore]:
    """Return the version's scores to lose from, by metric: of its holdout, or else of the first partition judged.

    A holdout of one class gives no score; a monitor that only counts losses would be silent for good.
    """
    holdout = step.registry.load(version.model, version.version).metrics
    found: dict[str, EarlierScore] = {name: (score, "holdout") for name, score in holdout.items() if score is not None}
    if found.keys() >= monitor.metrics.keys():
        return found
    first: dict[str, EarlierScore] = {}
    judged = step.ledger.read(Observation, monitor=monitor.name, model_version=version.version, column="")
    for seen in sorted(judged, key=lambda seen: (seen.partition, seen.observed_at), reverse=True):
        earlier = seen.partition < step.partition if step.partition else seen.observed_at < step.now
        if earlier and seen.score is not None and seen.rows >= monitor.min_rows:
            # From the newest to the oldest: the last word has the first partition.
            first[seen.check] = (seen.score, seen.partition or "the first rows")
    return {**first, **found}


def realized_rows(step: Step, prediction: str, model: ModelSpec, *, of_all: bool = False) -> Realized:
    """Return the mature labels of the step's partition beside what one version said of those rows first.

    Of a partition it is the version that scored it first, of those that have learnt from none of it: what readers were
    told. Without partitions each row counts for the version that scored it first, of those that have not learnt from
    it; the newest one that has such rows is judged, on them alone, or with ``of_all`` every version on its own.
    """
    manifest, warehouse, history = step.manifest, step.warehouse, history_ref(PREDICTIONS.ref(prediction))
    if not warehouse.exists(history):
        return _NOTHING
    key, moment = list(manifest.spine_of(model).key), str(manifest.spine_of(model).event_timestamp)
    with warehouse.session() as session:
        table = in_partition(session.table(history), step.partition)
        versions = _judged(session, table, step.registry.versions(model.name), step.window)
        if not versions:
            return _NOTHING
        known = labels_known_at(manifest, model, warehouse, step.now)
        labels = labels_of(session, manifest, model, known, step.window)
        check_key(session, labels, key, owner=manifest.feature_sets[model.feature_set].spine)
        said = _said_first(table, versions, key, moment=moment, score=SCORE_COLUMNS[model.task])
        usable = said.inner_join(usable_labels(labels, key), key)
        rows = session.stream(usable.select("model_version", LABEL, _SCORE)).read_all()
    found = rows["model_version"].to_numpy()
    newest = max(found, default=max(versions))
    judged = np.full(len(found), fill_value=True) if of_all else found == newest
    since = min(versions[each].trained_until for each in (*found[judged], newest))
    labelled, scores = (rows[name].to_numpy().astype(float)[judged] for name in (LABEL, _SCORE))
    return Realized(versions[newest], labelled, scores, since)


def _judged(
    session: Session, history: ibis.Table, versions: Sequence[ModelVersion], window: Window | None
) -> dict[int, ModelVersion]:
    """Return the versions, by number, whose scores in the history may count; of a partition's, the first alone."""
    seen = history.group_by("model_version").aggregate(first=history["scored_at"].min())
    first = {row["model_version"]: row["first"] for row in session.stream(seen).read_all().to_pylist()}
    scored = [version for version in versions if version.version in first]
    if window is not None:
        clean = [version for version in scored if version.trained_until <= window.start]
        scored = sorted(clean, key=lambda version: (first[version.version], version.version))[:1]
    return {version.version: version for version in scored}


def _said_first(
    history: ibis.Table, versions: Mapping[int, ModelVersion], key: Sequence[str], *, moment: str, score: str
) -> ibis.Table:
    """Return the first score of each row that a version gave without having learnt from it, and whose it is.

    A row may have been scored again, from features that are known better by now, or by the next champion: what was said
    first counts. A version of the time when the book asked for another task has left no such score.
    """
    unseen = [(history["model_version"] == n) & (history[moment] >= v.trained_until) for n, v in versions.items()]
    said = history.filter(ibis.or_(*unseen) & history[score].notnull())
    turn = ibis.row_number().over(group_by=list(key), order_by=[said["scored_at"], said["model_version"]])
    ranked = said.select(*key, "model_version", **{_SCORE: said[score], _TURN: turn})
    return ranked.filter(ranked[_TURN] == 0).drop(_TURN)

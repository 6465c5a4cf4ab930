"""Judges predictions whose labels are mature, by a version that was not trained on those rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaplatform.compute.evaluation import evaluate
from metaplatform.compute.evidently_performance import performance_report
from metaplatform.compute.findings import Finding
from metaplatform.compute.performance import Baseline, judge_performance
from metaplatform.compute.training import LABEL
from metaplatform.naming import history_ref
from metaplatform.resources.model_registry import ModelVersion
from metaplatform.specs.inference import SCORE_COLUMNS
from metaplatform.specs.monitoring import PerformanceMonitor
from metaplatform.specs.partitions import Window
from metaplatform.specs.records import Observation
from metaplatform.specs.training import ModelSpec
from metaplatform.work.judged import Judged
from metaplatform.work.keys import check_key
from metaplatform.work.label_maturity import labels_known_at
from metaplatform.work.labelled_rows import labels_of
from metaplatform.work.steps import Step, report_link


@dataclass(frozen=True)
class Realized:
    """Labels and scores of one version's rows, in one order."""

    version: ModelVersion | None
    labels: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]


def judge_realized(step: Step, monitor: PerformanceMonitor) -> Judged:
    """Return a verdict for each metric on the rows of the step's partition whose labels are mature."""
    model = step.manifest.models[step.manifest.predictions[monitor.prediction].model]
    realized = realized_rows(step, monitor.prediction, model)
    version = realized.version
    if version is None:
        reason = "no version scored these rows without having been trained on them"
        skipped = [Finding(metric, "", None, None, "skipped", reason) for metric in monitor.metrics]
        return Judged({finding.check: finding for finding in skipped}, {}, model.name, 0, 0, {})
    evaluation = evaluate(realized.labels, realized.scores, model.task)
    baseline = baseline_of(step, monitor, version)
    findings = judge_performance(evaluation.scores, evaluation.rows, monitor, baseline)
    links: dict[str, Any] = {}
    if evaluation.rows >= monitor.min_rows:
        facts = {
            "prediction": monitor.prediction,
            "partition": step.partition or "all",
            "version": str(version.version),
        }
        html = performance_report(realized.labels, realized.scores, model.task, metadata=facts)
        links = report_link(step, html, name=monitor.name, part=f"{step.partition or 'all'}-v{version.version}")
    verdicts = {finding.check: finding for finding in findings}
    return Judged(verdicts, {}, model.name, version.version, evaluation.rows, links)


def baseline_of(step: Step, monitor: PerformanceMonitor, version: ModelVersion) -> dict[str, Baseline]:
    """Return the version's scores to lose from, by metric: of its holdout, else of the first partition judged.

    A holdout of one class gives no score; a monitor that only counts losses would be silent for good.
    """
    holdout = step.registry.load(version.model, version.version).metrics
    found: dict[str, Baseline] = {name: (score, "holdout") for name, score in holdout.items() if score is not None}
    if found.keys() >= monitor.metrics.keys():
        return found
    first: dict[str, Baseline] = {}
    judged = step.ledger.read(Observation, monitor=monitor.name, model_version=version.version, column="")
    for seen in sorted(judged, key=lambda seen: (seen.partition, seen.observed_at), reverse=True):
        earlier = seen.partition < step.partition if step.partition else seen.observed_at < step.now
        if earlier and seen.score is not None and seen.rows >= monitor.min_rows:
            # From the newest to the oldest: the last word has the first partition.
            first[seen.check] = (seen.score, seen.partition or "the first rows")
    return {**first, **found}


def realized_rows(step: Step, prediction: str, model: ModelSpec) -> Realized:
    """Return the mature labels of the step's partition beside the newest out-of-sample scores of those rows.

    Every version's scores are in the history; one counts for rows behind the end of its own training rows.
    """
    manifest, warehouse, history = step.manifest, step.warehouse, history_ref(f"predictions.{prediction}")
    nothing = Realized(None, np.empty(0), np.empty(0))
    if not warehouse.exists(history):
        return nothing
    column, score_column = manifest.spine_of(model).event_timestamp, SCORE_COLUMNS[model.task]
    key = list(manifest.spine_of(model).key)
    versions = sorted(step.registry.versions(model.name), key=lambda found: -found.version)
    with warehouse.session() as session:
        table = session.table(history)
        if step.partition:
            table = table.filter(table["_partition"] == step.partition)
        present = set(session.reader(table.select("model_version").distinct()).read_all()["model_version"].to_pylist())
        known = labels_known_at(manifest, model, warehouse, step.now)
        labels = labels_of(session, manifest, model, known, step.window)
        check_key(session, labels, key, owner=manifest.feature_sets[model.feature_set].spine)
        usable = labels.filter(~labels["excluded"] & labels[LABEL].notnull()).select(*key, LABEL)
        for version in versions:
            if version.version not in present or _has_learnt_from(version, step.window):
                continue
            scored = table.filter(
                (table["model_version"] == version.version) & (table[column] >= version.trained_until)
            )
            # A row may have been scored again, from features that are known better by now: what was said first counts.
            first = scored.group_by(key).aggregate(**{score_column: scored[score_column].argmin(scored["scored_at"])})
            joined = first.inner_join(usable, key).select(LABEL, score_column)
            rows = session.reader(joined).read_all()
            if rows.num_rows:
                columns = (rows[name].to_numpy().astype(float) for name in (LABEL, score_column))
                return Realized(version, *columns)
    return nothing


def _has_learnt_from(version: ModelVersion, window: Window | None) -> bool:
    return window is not None and version.trained_until > window.start

"""Judges a scored partition against the training reference of the version that scored it."""

import json
from datetime import datetime

import ibis

from metaplatform.chapters import PREDICTIONS
from metaplatform.compute.chosen_rows import in_partition
from metaplatform.compute.digest import Digest, digest
from metaplatform.compute.drift import detect_drift
from metaplatform.compute.findings import Finding
from metaplatform.compute.profile import profile
from metaplatform.errors import DataError
from metaplatform.resources.engine.session import Session
from metaplatform.specs.entities.inference import SCORE_COLUMNS
from metaplatform.specs.entities.monitoring import DriftMonitor
from metaplatform.work.judged import Judged
from metaplatform.work.steps import Step, picture_link

_CHECKS = ("profile", "data_drift", "prediction_drift")


def judge_drift(step: Step, monitor: DriftMonitor) -> Judged:
    """Return the profile's, the features' and the predictions' verdicts on the step's partition.

    Only the rows that its newest version has scored are judged: they are compared with what that one has learnt.

    Raises:
        DataError: if nothing was ever scored.
    """
    prediction = step.manifest.predictions[monitor.prediction]
    model = step.manifest.models[prediction.model]
    score_column = SCORE_COLUMNS[model.task]
    version = scoring_version(step, monitor.prediction)
    if version is None:
        reason = "no row here has a prediction: each champion there was has learnt from them"
        skipped = {check: Finding(check, "", None, None, "skipped", reason) for check in _CHECKS}
        return Judged(skipped, {}, model.name, 0, 0, {})
    bundle = step.registry.load(model.name, version)
    reference = Digest.from_json(json.dumps(dict(bundle.reference)))
    since = None if prediction.in_sample else bundle.lineage.trained_until
    moment = str(step.manifest.spine_of(model).event_timestamp)
    with step.warehouse.session() as session:
        features = _judged_rows(session, model.feature_set_ref, step, moment, since)
        scores = _judged_rows(session, monitor.prediction_ref, step, moment, since)
        current = digest(features, bundle.encoding.names).joined(digest(scores, [score_column]))
    profiled = profile(
        reference.without(monitor.exclude), current.without(monitor.exclude), monitor.profile, min_rows=monitor.min_rows
    )
    facts = {"prediction": monitor.prediction, "partition": step.partition or "all", "version": str(version)}
    drift = detect_drift(reference, current, monitor, score_column=score_column, metadata=facts)
    found = drift.findings()
    verdict, score, columns = found[0], found[1], found[2:]
    return Judged(
        verdicts={"profile": profiled[0], "data_drift": verdict, "prediction_drift": score},
        details={"profile": profiled[1:], "data_drift": columns, "prediction_drift": (score,)},
        model=model.name,
        version=version,
        rows=current.rows,
        links=picture_link(
            step,
            lambda: drift.html,
            failed="failed" in {profiled[0].status, verdict.status, score.status},
            name=monitor.name,
            part=f"{step.partition or 'all'}-v{version}",
        ),
    )


def scoring_version(step: Step, prediction: str) -> int | None:
    """Return the newest model version that scored rows of the step's partition, None if none of them has a score.

    Raises:
        DataError: if nothing was ever scored.
    """
    if not step.warehouse.exists(PREDICTIONS.ref(prediction)):
        raise DataError(
            owner=step.ref,
            culprit=f"{PREDICTIONS.ref(prediction)} does not exist yet",
            fix=f"materialize {PREDICTIONS.ref(prediction)} first",
        )
    state = step.warehouse.partitions(PREDICTIONS.ref(prediction)).get(step.partition or "")
    return state.model_version if state else None


def _judged_rows(session: Session, ref: str, step: Step, moment: str, since: datetime | None) -> ibis.Table:
    """Return the partition's rows from ``since`` on, kept in the session: a digest reads them once a column."""
    rows = in_partition(session.table(ref), step.partition)
    return session.keep(rows.filter(rows[moment] >= ibis.literal(since)) if since else rows)

"""Judges a scored partition against the training reference of the version that scored it."""

import json

import ibis

from metaplatform.compute.digest import Digest, digest
from metaplatform.compute.drift import detect_drift
from metaplatform.compute.profile import profile
from metaplatform.errors import DataError
from metaplatform.factories.judged import Judged
from metaplatform.factories.steps import Step, report_link
from metaplatform.resources.exports import Exports
from metaplatform.resources.model_registry import ModelRegistry
from metaplatform.resources.session import Session
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.inference import SCORE_COLUMNS
from metaplatform.specs.monitoring import DriftMonitor


def judge_drift(
    step: Step, monitor: DriftMonitor, warehouse: Warehouse, registry: ModelRegistry, exports: Exports
) -> Judged:
    """Return the profile's, the features' and the predictions' verdicts on the step's partition.

    Raises:
        DataError: if the partition is not scored yet.
    """
    model = step.manifest.models[step.manifest.predictions[monitor.prediction].model]
    score_column = SCORE_COLUMNS[model.task]
    version = scoring_version(step, monitor.prediction, warehouse)
    bundle = registry.load(model.name, version)
    reference = Digest.from_json(json.dumps(dict(bundle.reference)))
    with warehouse.session() as session:
        current = digest(_partition(session, f"features.{model.feature_set}", step), bundle.encoding.names).joined(
            digest(_partition(session, f"predictions.{monitor.prediction}", step), [score_column])
        )
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
        links=report_link(exports, drift.html, name=monitor.name, part=f"{step.partition or 'all'}-v{version}"),
    )


def scoring_version(step: Step, prediction: str, warehouse: Warehouse) -> int:
    """Return the model version that scored the step's partition.

    Raises:
        DataError: if it is not scored yet.
    """
    state = warehouse.partitions(f"predictions.{prediction}").get(step.partition or "")
    if state is None or state.model_version is None:
        raise DataError(
            owner=step.ref,
            culprit=f"predictions.{prediction} has no rows" + (f" in {step.partition}" if step.partition else ""),
            fix=f"materialize predictions.{prediction} first",
        )
    return state.model_version


def _partition(session: Session, ref: str, step: Step) -> ibis.Table:
    """Return the partition's rows, kept in the session: a digest reads them once a column."""
    table = session.table(ref)
    return session.materialize_temp(table.filter(table["_partition"] == step.partition) if step.partition else table)

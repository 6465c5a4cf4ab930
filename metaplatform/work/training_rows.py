"""The rows a version is trained and judged on: labelled, before the cut, split in time."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

import ibis

from metaplatform.compute.label_counts import Prospect
from metaplatform.compute.splitting import Bounds, Split, boundary_query, timed_split
from metaplatform.compute.training import TrainingRefusedError
from metaplatform.resources.engine.session import Session
from metaplatform.resources.models.model_registry import ModelVersion
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.fields.partitions import Window
from metaplatform.text.moments import shown
from metaplatform.work.label_counting import counted_partitions, kept_counts, mature_until, prospect_of, recount
from metaplatform.work.labelled_rows import LabelCoverage, count_labels, labelled_frame, labels_of, order_of
from metaplatform.work.steps import Step


@dataclass(frozen=True)
class TrainingRows:
    """Features and labels of the training window, kept in the session, with the rule that splits them."""

    frame: ibis.Table
    split: Split
    bounds: Bounds
    coverage: LabelCoverage
    order: tuple[str, ...]


def training_prospect(
    session: Session,
    step: Step,
    model: ModelSpec,
    *,
    champion: ModelVersion | None,
    versions: Collection[ModelVersion],
) -> Prospect:
    """Return what a training at the step's ``now`` is made of; the labels of its window are counted again.

    ``champion`` is whom the new version must beat, None if there is nobody; ``versions`` are those there are.

    Raises:
        TrainingRefusedError: if there is no labelled row.
    """
    manifest, warehouse = step.manifest, step.warehouse
    mature = mature_until(manifest, model, warehouse, step.now)
    recount(session, manifest, model, warehouse, list(_partitions(step, model, mature)))
    found = prospect_of(
        model,
        kept_counts(manifest, model, warehouse, mature),
        mature,
        champion=champion,
        versions=versions,
    )
    if found is None:
        owner = model.ref
        raise TrainingRefusedError(
            owner=owner,
            culprit=f"no row has a label that is known by {shown(step.now, manifest.zone(owner), seconds=False)}",
            fix="wait for labels, or fix target.sql",
        )
    return found


def training_rows(session: Session, step: Step, model: ModelSpec, bounds: Bounds) -> TrainingRows:
    """Return the labelled rows of the training window before the cut."""
    manifest = step.manifest
    window = Window(bounds.start, bounds.cut)
    labels = labels_of(session, manifest, model, step.now, window)
    frame = session.keep(labelled_frame(session, manifest, model, labels, window))
    time = str(manifest.spine_of(model).event_timestamp)
    boundary = boundary_query(frame, bounds, event_timestamp=time, validation_share=model.training.validation_share)
    split = timed_split(
        model.training,
        bounds,
        session.stream(boundary).read_all().to_pylist()[0],
        event_timestamp=time,
        keys=manifest.spine_of(model).key,
    )
    return TrainingRows(frame, split, bounds, count_labels(session, labels), order_of(manifest, model))


def _partitions(step: Step, model: ModelSpec, mature: datetime) -> Iterator[str]:
    """Yield the partitions that no run has counted, and those that a training window before ``mature`` reaches into."""
    ref = model.feature_set_ref
    scheme, known = step.manifest.partitions(ref), counted_partitions(step.manifest, model, step.warehouse)
    start = model.training.window.before(mature)
    for key in step.warehouse.partitions(ref):
        if scheme is None or key not in known or scheme.window(key).end >= start:
            yield key

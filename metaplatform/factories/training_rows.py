"""The rows a version is trained and judged on: labelled, before the cut, split in time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import ibis

from metaplatform.compute.splitting import Bounds, Split, boundary_query, split_bounds, timed_split
from metaplatform.errors import DataError
from metaplatform.factories.labelled_rows import LabelCounts, count_labels, labelled_frame, labels_of, order_of
from metaplatform.factories.steps import Step
from metaplatform.resources.session import Session
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.partitions import Window
from metaplatform.specs.training import ModelSpec


@dataclass(frozen=True)
class TrainingRows:
    """Features and labels of the training window, kept in the session, with the rule that splits them."""

    frame: ibis.Table
    split: Split
    bounds: Bounds
    counts: LabelCounts
    order: tuple[str, ...]


def training_rows(session: Session, step: Step, model: ModelSpec) -> TrainingRows:
    """Return the labelled rows of the training window before the cut.

    The cut is the newest moment whose label is mature at the step's ``now``.

    Raises:
        DataError: if there are no features yet, or the holdout leaves nothing to train on.
    """
    manifest = step.manifest
    cut = find_cut(session, manifest, model, step.now)
    bounds = split_bounds(model.training, cut=cut)
    window = Window(bounds.start, bounds.cut)
    labels = labels_of(session, manifest, model, step.now, window)
    frame = session.materialize_temp(labelled_frame(session, manifest, model, labels, window))
    time = str(manifest.spine_of(model).event_timestamp)
    boundary = boundary_query(frame, bounds, event_timestamp=time, validation_share=model.training.validation_share)
    split = timed_split(
        model.training,
        bounds,
        session.reader(boundary).read_all().to_pylist()[0],
        event_timestamp=time,
        keys=manifest.spine_of(model).key,
    )
    return TrainingRows(frame, split, bounds, count_labels(session, labels), order_of(manifest, model))


def find_cut(session: Session, manifest: Manifest, model: ModelSpec, now: datetime) -> datetime:
    """Return the end (exclusive, UTC) of the rows whose labels are mature at ``now``.

    Raises:
        DataError: if the feature set has no rows.
    """
    ref = f"features.{model.feature_set}"
    moment = session.table(ref)[str(manifest.spine_of(model).event_timestamp)]
    last = session.reader(session.table(ref).aggregate(last=moment.max())).read_all()["last"][0].as_py()
    if last is None:
        raise DataError(owner=f"models.{model.name}", culprit=f"{ref} has no rows", fix=f"materialize {ref} first")
    mature = manifest.label_delay(model).before(now)
    newest: datetime = last.astimezone(UTC) + timedelta(microseconds=1)
    return min(mature, newest)

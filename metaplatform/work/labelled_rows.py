"""Features with their mature labels, and a version's scores of them: shared by training, monitors and replay."""

from dataclasses import dataclass
from datetime import datetime

import ibis
import numpy as np
import numpy.typing as npt

from metaplatform.compute.chosen_rows import within
from metaplatform.compute.encoding import encode
from metaplatform.compute.features import labels, mature, training_frame, training_order
from metaplatform.compute.inference import Predictor
from metaplatform.compute.training import LABEL, in_order
from metaplatform.resources.engine.session import Session
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.fields.partitions import Window
from metaplatform.specs.records.encoding import FittedEncoding
from metaplatform.work.keys import check_key


@dataclass(frozen=True)
class LabelCoverage:
    """Rows with a label, rows left out on purpose, and rows whose label is null without being excluded."""

    labelled: int
    excluded: int
    unlabelled: int


def labels_of(
    session: Session, manifest: Manifest, model: ModelSpec, now: datetime, window: Window | None
) -> ibis.Table:
    """Return the labels (of the window) mature at ``now``, one row for each row of the spine."""
    spine = manifest.spine_of(model)
    rows = session.table(manifest.feature_sets[model.feature_set].spine)
    known = mature(
        labels(model, rows, manifest=manifest),
        event_timestamp=spine.event_timestamp,
        delay=manifest.label_delay(model),
        now=now,
    )
    if window is None:
        return known
    return within(known, str(spine.event_timestamp), window.start, window.end)


def count_labels(session: Session, rows: ibis.Table) -> LabelCoverage:
    """Return how many rows there are of each kind."""
    kept = ~rows["excluded"]
    counted = rows.aggregate(
        labelled=(kept & rows[LABEL].notnull()).sum().fill_null(0),
        excluded=rows["excluded"].sum().fill_null(0),
        unlabelled=(kept & rows[LABEL].isnull()).sum().fill_null(0),
    )
    found = session.stream(counted).read_all().to_pylist()[0]
    return LabelCoverage(int(found["labelled"]), int(found["excluded"]), int(found["unlabelled"]))


def labelled_frame(
    session: Session, manifest: Manifest, model: ModelSpec, rows: ibis.Table, window: Window | None
) -> ibis.Table:
    """Return features (of the window) joined with usable labels, in the order that training needs.

    Raises:
        DataError: with examples, if keys repeat: the join would multiply rows.
    """
    spine = manifest.spine_of(model)
    check_key(session, rows, spine.key, owner=manifest.feature_sets[model.feature_set].spine)
    features = session.table(model.feature_set_ref)
    wanted = [*order_of(manifest, model), *manifest.features_of(model)]
    return training_frame(
        features.select(*dict.fromkeys(wanted)),
        rows,
        key=spine.key,
        event_timestamp=spine.event_timestamp,
        window=window,
    )


def order_of(manifest: Manifest, model: ModelSpec) -> tuple[str, ...]:
    """Return the columns that put the model's rows in order: event timestamp, then key."""
    spine = manifest.spine_of(model)
    return training_order(spine.key, spine.event_timestamp)


def encoded_rows(frame: ibis.Table, encoding: FittedEncoding, *, order: tuple[str, ...]) -> ibis.Table:
    """Return ``frame`` as ``order``, label and one float column for each feature."""
    return encode(frame, encoding, keep=[*order, LABEL])


def scored_labels(
    session: Session, encoded: ibis.Table, encoding: FittedEncoding, predictor: Predictor, *, order: tuple[str, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return labels and scores of encoded rows in ``order``, so that two versions' scores stand side by side."""
    truths, scores = [np.empty(0)], [np.empty(0)]
    for batch in session.stream(in_order(encoded, encoding, order=order)):
        truths.append(batch.column(LABEL).to_numpy(zero_copy_only=False))
        scores.append(predictor(batch))
    return np.concatenate(truths), np.concatenate(scores)

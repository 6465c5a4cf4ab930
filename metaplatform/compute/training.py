"""Training: encoded batches → what the learner of the model's kind has learnt, if the rows are fit to learn from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pyarrow as pa

from metaplatform.compute.learners import LEARNERS
from metaplatform.compute.learners.learning import Fit, Rows
from metaplatform.compute.matrix import blocks
from metaplatform.errors import DataError
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.records.encoding import LARGEST, FittedEncoding
from metaplatform.specs.records.learnt import Learnt

LABEL = "label"
_LARGEST_LABEL = LARGEST**0.5 / 2
"""What labels and scores are apart is squared, as 32-bit floats: beyond this nothing learnt is better than another."""


class TrainingRefusedError(DataError):
    """The rows there are do not make a version: other rows may."""


@dataclass(frozen=True)
class TrainedModel:
    """What was learnt, and what its training gave and was given."""

    learnt: Learnt
    fit: Fit
    training_rows: int
    validation_rows: int


def in_order(encoded: ibis.Table, encoding: FittedEncoding, *, order: Sequence[str]) -> ibis.Table:
    """Return features and label of encoded rows, sorted: the order of the rows decides the model.

    ``order`` are columns that identify a row (event timestamp and keys); without any, whole rows are compared.
    """
    sorted_rows = encoded.order_by([encoded[name] for name in order or encoded.columns])
    return sorted_rows.select(*encoding.names, LABEL)


def train(
    training: Iterable[pa.RecordBatch],
    validation: Iterable[pa.RecordBatch],
    spec: ModelSpec,
    *,
    feature_types: Mapping[str, str],
    seed: int,
    threads: int,
) -> TrainedModel:
    """Train on batches of encoded features and ``label``; both readers are read once.

    Rows are kept as float32 blocks only: one copy beside the learner's own. ``feature_types`` are those of the
    encoding, in matrix order.

    Raises:
        TrainingRefusedError: too few rows, no validation rows, one class only, or labels that are not numbers
            (or neither 0 nor 1 for a binary task).
        DataError: settings that the learner cannot follow.
    """
    learnt, stopping = _rows(training, feature_types), _rows(validation, feature_types)
    _check_rows(learnt, stopping, spec)
    fit = LEARNERS.of(spec.kind).train(learnt, stopping, spec, seed=seed, threads=threads)
    return TrainedModel(Learnt(spec.kind, fit.files), fit, len(learnt), len(stopping))


def refit(
    batches: Iterable[pa.RecordBatch],
    spec: ModelSpec,
    *,
    found: Mapping[str, Any],
    feature_types: Mapping[str, str],
    seed: int,
    threads: int,
) -> Learnt:
    """Return what all rows teach, with what a training has ``found``: nothing is held back.

    Raises:
        TrainingRefusedError: labels that are not numbers.
    """
    rows = _rows(batches, feature_types)
    _check_labels((rows,), spec)
    return Learnt(spec.kind, LEARNERS.of(spec.kind).refit(rows, spec, found, seed=seed, threads=threads))


def _rows(batches: Iterable[pa.RecordBatch], feature_types: Mapping[str, str]) -> Rows:
    return Rows(tuple(blocks(batches, tuple(feature_types), label=LABEL)), feature_types)


def _check_rows(learnt: Rows, stopping: Rows, spec: ModelSpec) -> None:
    rows, validating = len(learnt), len(stopping)
    least = spec.training.min_rows
    if rows + validating < least:
        raise _refused(
            spec,
            f"{rows + validating} labelled rows to train on, {least} are needed",
            "wait for more rows, widen training.window, shorten training.holdout, or lower training.min_rows",
        )
    if not validating or not rows:
        raise _refused(
            spec,
            f"{rows} rows to train on and {validating} validation rows",
            "change training.validation_share, or widen training.window",
        )
    labels = _check_labels((learnt, stopping), spec)
    if spec.task == "binary":
        _check_classes(labels, float(learnt.labels.sum()), rows, spec)


def _check_labels(parts: Sequence[Rows], spec: ModelSpec) -> Any:
    """Return all labels, where a learner can hold them."""
    labels = np.concatenate([rows.labels for rows in parts])
    # NaN fails the comparison.
    unusable = int((~(np.abs(labels) <= _LARGEST_LABEL)).sum())
    if unusable:
        raise _refused(
            spec,
            f"{unusable} of {labels.size} labels are not numbers up to {_LARGEST_LABEL:.1e}, which can be squared",
            "leave such rows out by target.exclude, or fix target.sql",
        )
    return labels


def _check_classes(labels: Any, positives: float, rows: int, spec: ModelSpec) -> None:
    strange = int(((labels != 0) & (labels != 1)).sum())
    if strange:
        raise _refused(
            spec,
            f"{strange} of {labels.size} labels are neither 0 nor 1",
            "make target.sql true or false, or the task regression",
        )
    if positives in {0.0, float(rows)}:
        raise _refused(
            spec,
            f"all {rows} training labels are {int(positives > 0)}: one class only",
            "widen training.window, or fix target.sql",
        )


def _refused(spec: ModelSpec, culprit: str, fix: str) -> TrainingRefusedError:
    return TrainingRefusedError(owner=spec.ref, culprit=culprit, fix=fix)

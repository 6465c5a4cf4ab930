"""Training: encoded batches → an XGBoost booster. The same rows, parameters and seed give the same bytes.

Set ``OMP_WAIT_POLICY=passive`` in the process before XGBoost is imported: with busy neighbours its threads
otherwise wait for each other by spinning.
"""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pyarrow as pa

from metaplatform.compute.matrix import Block, blocks, quantised
from metaplatform.errors import DataError
from metaplatform.specs.entities.training import ModelSpec, Task
from metaplatform.specs.records.encoding import LARGEST, FittedEncoding

LABEL = "label"
_OBJECTIVES: dict[Task, tuple[str, str]] = {
    "binary": ("binary:logistic", "logloss"),
    "regression": ("reg:squarederror", "rmse"),
}
"""Objective and early stopping metric of each task; both are defined whatever the validation labels are."""
_LARGEST_LABEL = LARGEST**0.5 / 2
"""XGBoost squares what labels and scores are apart, as 32-bit floats: beyond this no round is better than another."""
_BINS = 256
_SOURCE_LINE = re.compile(r"^\[[\d:]+\] (WARNING: )?\S+:\d+:\s*")


class TrainingRefusedError(DataError):
    """The rows there are do not make a version: other rows may."""


@dataclass(frozen=True)
class TrainedModel:
    """A booster as UBJ bytes, cut after its best round, and what its training told.

    ``best_iteration`` is 0-based among the ``rounds`` that were boosted; ``history`` holds ``metric`` on the
    validation rows after each of them. ``importance`` is each feature's total gain, as a share of all.
    """

    booster: bytes
    best_iteration: int
    rounds: int
    metric: str
    history: tuple[float, ...]
    importance: Mapping[str, float]
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

    Rows are kept as float32 blocks only: one copy beside XGBoost's own quantised one. ``feature_types`` are
    those of the encoding, in matrix order.

    Raises:
        TrainingRefusedError: too few rows, no validation rows, one class only, or labels that are not numbers
            (or neither 0 nor 1 for a binary task).
        DataError: parameters that XGBoost does not take.
    """
    names = tuple(feature_types)
    learnt, stopping = list(blocks(training, names, label=LABEL)), list(blocks(validation, names, label=LABEL))
    _check_rows(learnt, stopping, spec)
    parameters = _parameters(spec, seed=seed, threads=threads)
    _check_parameters(parameters, spec)
    return _boost(learnt, stopping, spec, feature_types=feature_types, parameters=parameters)


def refit(
    rows: Iterable[pa.RecordBatch],
    spec: ModelSpec,
    *,
    rounds: int,
    feature_types: Mapping[str, str],
    seed: int,
    threads: int,
) -> bytes:
    """Return a booster of ``rounds`` rounds over all ``rows``, as UBJ bytes: nothing is held back to stop it.

    Raises:
        TrainingRefusedError: labels that are not numbers.
    """
    import xgboost

    parameters = _parameters(spec, seed=seed, threads=threads)
    parts = list(blocks(rows, tuple(feature_types), label=LABEL))
    _check_labels(parts, spec)
    matrix = quantised(parts, feature_types, max_bin=int(parameters["max_bin"]), threads=threads)
    booster = xgboost.train(dict(parameters), matrix, rounds, verbose_eval=False)
    return bytes(booster.save_raw("ubj"))


def _parameters(spec: ModelSpec, *, seed: int, threads: int) -> dict[str, Any]:
    objective, metric = _OBJECTIVES[spec.task]
    defaults = {"objective": objective, "eval_metric": metric, "tree_method": "hist", "max_bin": _BINS}
    return {**defaults, **spec.training.parameters, "seed": seed, "nthread": threads, "verbosity": 1}


def _check_rows(learnt: Sequence[Block], stopping: Sequence[Block], spec: ModelSpec) -> None:
    rows, validating = _count(learnt), _count(stopping)
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
    labels = _check_labels((*learnt, *stopping), spec)
    if spec.task == "binary":
        _check_classes(labels, sum(float(label.sum()) for _, label in learnt), rows, spec)


def _check_labels(parts: Sequence[Block], spec: ModelSpec) -> Any:
    """Return all labels, where XGBoost can hold them."""
    labels = np.concatenate([label for _, label in parts])
    # NaN fails the comparison.
    unusable = int((~(np.abs(labels) <= _LARGEST_LABEL)).sum())
    if unusable:
        raise _refused(
            spec,
            f"{unusable} of {labels.size} labels are not numbers up to {_LARGEST_LABEL:.1e}, which XGBoost can square",
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


def _check_parameters(parameters: Mapping[str, Any], spec: ModelSpec) -> None:
    """Boost one round on four rows, to hear of parameters that XGBoost refuses, ignores or cannot follow here."""
    import xgboost

    features = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
    labels = np.array([0.0, 1.0, 0.0, 1.0])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            matrix = xgboost.QuantileDMatrix(features, labels, max_bin=parameters["max_bin"], nthread=1)
            booster = xgboost.train(dict(parameters), matrix, 1, evals=[(matrix, "validation")], verbose_eval=False)
            booster.inplace_predict(features)
        except (xgboost.core.XGBoostError, TypeError, ValueError) as error:
            raise _fault(spec, f"XGBoost refuses its parameters: {_told(error)}", "fix training.parameters") from error
    complaints = [_told(warning.message) for warning in heard if "WARNING" in str(warning.message)]
    if complaints:
        raise _fault(spec, f"XGBoost cannot follow its parameters: {'; '.join(complaints)}", "fix training.parameters")


def _told(message: object) -> str:
    """Return what XGBoost says, without time, source line and stack trace."""
    return " ".join(_SOURCE_LINE.sub("", str(message).split("Stack trace")[0]).split())


def _boost(
    learnt: Sequence[Block],
    stopping: Sequence[Block],
    spec: ModelSpec,
    *,
    feature_types: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> TrainedModel:
    import xgboost

    bins, threads = int(parameters["max_bin"]), int(parameters["nthread"])
    matrix = quantised(learnt, feature_types, max_bin=bins, threads=threads)
    judged = quantised(stopping, feature_types, max_bin=bins, threads=threads, reference=matrix)
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        dict(parameters),
        matrix,
        spec.training.rounds,
        evals=[(judged, "validation")],
        evals_result=history,
        early_stopping_rounds=spec.training.early_stopping_rounds,
        verbose_eval=False,
    )
    metric, values = list(history["validation"].items())[-1]
    best = booster[: booster.best_iteration + 1]
    return TrainedModel(
        booster=bytes(best.save_raw("ubj")),
        best_iteration=booster.best_iteration,
        rounds=len(values),
        metric=metric,
        history=tuple(values),
        importance=_importance(best, tuple(feature_types)),
        training_rows=_count(learnt),
        validation_rows=_count(stopping),
    )


def _importance(booster: Any, names: Sequence[str]) -> dict[str, float]:
    gains = booster.get_score(importance_type="total_gain")
    total = sum(gains.values()) or 1.0
    return {name: float(gains.get(name, 0.0)) / total for name in names}


def _count(parts: Sequence[Block]) -> int:
    return sum(len(labels) for _, labels in parts)


def _fault(spec: ModelSpec, culprit: str, fix: str) -> DataError:
    return DataError(owner=f"models.{spec.name}", culprit=culprit, fix=fix)


def _refused(spec: ModelSpec, culprit: str, fix: str) -> TrainingRefusedError:
    return TrainingRefusedError(owner=f"models.{spec.name}", culprit=culprit, fix=fix)

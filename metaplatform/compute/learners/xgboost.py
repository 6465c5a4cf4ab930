"""XGBoost: encoded rows → a booster as UBJ. The same rows, parameters and seed give the same bytes.

Set ``OMP_WAIT_POLICY=passive`` in the process before XGBoost is imported: with busy neighbours its threads
otherwise wait for each other by spinning.
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from metaplatform.compute.learners.learning import Fit, Rows, Score
from metaplatform.errors import DataError
from metaplatform.specs.entities.xgboost import XGBoostModel
from metaplatform.specs.fields.metrics import Task

REQUIREMENTS: tuple[str, ...] = ("xgboost",)
_FILE = "model.ubj"
_BEST = "best_iteration"
_OBJECTIVES: dict[Task, tuple[str, str]] = {
    "binary": ("binary:logistic", "logloss"),
    "regression": ("reg:squarederror", "rmse"),
}
"""Objective and early stopping metric of each task; both are defined whatever the validation labels are."""
_BINS = 256
_SOURCE_LINE = re.compile(r"^\[[\d:]+\] (WARNING: )?\S+:\d+:\s*")


def train(rows: Rows, stopping: Rows, spec: XGBoostModel, *, seed: int, threads: int) -> Fit:
    """Boost until the rows of ``stopping`` gain nothing; the booster is cut after its best round.

    The best iteration is counted from 0; the curve holds the metric after each round that was boosted. A feature's
    importance is its total gain, as a share of all.

    Raises:
        DataError: parameters that XGBoost does not take.
    """
    import xgboost

    parameters = _parameters(spec, seed=seed, threads=threads)
    _check_parameters(parameters, spec)
    matrix = _quantised(rows, parameters)
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        dict(parameters),
        matrix,
        spec.training.rounds,
        evals=[(_quantised(stopping, parameters, reference=matrix), "validation")],
        evals_result=history,
        early_stopping_rounds=spec.training.early_stopping_rounds,
        verbose_eval=False,
    )
    metric, values = list(history["validation"].items())[-1]
    best = booster[: booster.best_iteration + 1]
    return Fit(
        files=_files(best),
        found={_BEST: booster.best_iteration},
        curves={f"validation_{metric}": tuple(values)},
        importance=_importance(best, tuple(rows.feature_types)),
    )


def refit(rows: Rows, spec: XGBoostModel, found: Mapping[str, Any], *, seed: int, threads: int) -> Mapping[str, bytes]:
    """Boost as many rounds as were best, over all ``rows``: nothing is held back to stop it."""
    import xgboost

    parameters = _parameters(spec, seed=seed, threads=threads)
    matrix = _quantised(rows, parameters)
    return _files(xgboost.train(dict(parameters), matrix, found[_BEST] + 1, verbose_eval=False))


def load(files: Mapping[str, bytes], *, threads: int) -> Score:
    """Return the booster's scores."""
    import xgboost

    booster = xgboost.Booster({"nthread": threads}, model_file=bytearray(files[_FILE]))
    return booster.inplace_predict


def _files(booster: Any) -> Mapping[str, bytes]:
    return {_FILE: bytes(booster.save_raw("ubj"))}


def _parameters(spec: XGBoostModel, *, seed: int, threads: int) -> dict[str, Any]:
    objective, metric = _OBJECTIVES[spec.task]
    defaults = {"objective": objective, "eval_metric": metric, "tree_method": "hist", "max_bin": _BINS}
    return {**defaults, **spec.training.parameters, "seed": seed, "nthread": threads, "verbosity": 1}


def _quantised(rows: Rows, parameters: Mapping[str, Any], *, reference: Any = None) -> Any:
    """Return an ``xgboost.QuantileDMatrix`` of the blocks, which it reads in place, several times.

    ``reference`` is the training matrix whose bins a validation matrix takes.
    """
    import xgboost

    class Blocks(xgboost.DataIter):
        """Hands XGBoost one block after the other."""

        def __init__(self) -> None:
            self._rest = iter(rows.parts)
            super().__init__()

        def next(self, input_data: Callable[..., None]) -> bool:
            block = next(self._rest, None)
            if block is None:
                return False
            matrix, labels = block
            input_data(
                data=matrix,
                label=labels,
                feature_names=list(rows.feature_types),
                feature_types=list(rows.feature_types.values()),
            )
            return True

        def reset(self) -> None:
            self._rest = iter(rows.parts)

    bins, threads = int(parameters["max_bin"]), int(parameters["nthread"])
    return xgboost.QuantileDMatrix(Blocks(), max_bin=bins, nthread=threads, ref=reference, enable_categorical=True)


def _check_parameters(parameters: Mapping[str, Any], spec: XGBoostModel) -> None:
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
            raise _fault(spec, f"XGBoost refuses its parameters: {_told(error)}") from error
    complaints = [_told(warning.message) for warning in heard if "WARNING" in str(warning.message)]
    if complaints:
        raise _fault(spec, f"XGBoost cannot follow its parameters: {'; '.join(complaints)}")


def _told(message: object) -> str:
    """Return what XGBoost says, without time, source line and stack trace."""
    return " ".join(_SOURCE_LINE.sub("", str(message).split("Stack trace")[0]).split())


def _importance(booster: Any, names: Sequence[str]) -> dict[str, float]:
    gains = booster.get_score(importance_type="total_gain")
    total = sum(gains.values()) or 1.0
    return {name: float(gains.get(name, 0.0)) / total for name in names}


def _fault(spec: XGBoostModel, culprit: str) -> DataError:
    return DataError(owner=spec.ref, culprit=culprit, fix="fix training.parameters")

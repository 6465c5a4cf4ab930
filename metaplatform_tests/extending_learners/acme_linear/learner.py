"""Linear models: how they learn and score, in plain numpy; what is learnt is one file of JSON."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from acme_linear import LinearModel
from metaplatform.kinds.learning import Fit, Matrix, Rows, Score

REQUIREMENTS: tuple[str, ...] = ()
_FILE = "linear.json"
_STEPS = 25


def train(rows: Rows, stopping: Rows, spec: LinearModel, *, seed: int, threads: int) -> Fit:
    """Learn with each penalty, and keep the one whose error is smallest on the rows of ``stopping``."""
    tried = [_learn(rows, spec, penalty) for penalty in spec.penalties]
    errors = [float(np.mean((_scores(stopping.features, each) - stopping.labels) ** 2)) for each in tried]
    best = int(np.argmin(errors))
    sizes = [sum(map(abs, feature["weights"])) for feature in tried[best]["features"]]
    importance = {name: size / (sum(sizes) or 1) for name, size in zip(rows.feature_types, sizes, strict=True)}
    found = {"penalty": spec.penalties[best]}
    return Fit(_files(tried[best]), found, {"validation_error": errors}, importance)


def refit(rows: Rows, spec: LinearModel, found: Mapping[str, Any], *, seed: int, threads: int) -> Mapping[str, bytes]:
    """Learn with the penalty that was found."""
    return _files(_learn(rows, spec, found["penalty"]))


def load(files: Mapping[str, bytes], *, threads: int) -> Score:
    """Return what scores a matrix by the weights."""
    learnt = json.loads(files[_FILE])
    return lambda matrix: _scores(matrix, learnt)


def _files(learnt: dict[str, Any]) -> Mapping[str, bytes]:
    return {_FILE: json.dumps(learnt).encode()}


def _scores(matrix: Matrix, learnt: dict[str, Any]) -> Any:
    weights = [learnt["intercept"], *(weight for feature in learnt["features"] for weight in feature["weights"])]
    sums = _columns(matrix, learnt["features"]) @ np.array(weights)
    return 1 / (1 + np.exp(-sums)) if learnt["task"] == "binary" else sums


def _learn(rows: Rows, spec: LinearModel, penalty: float) -> dict[str, Any]:
    """Return the weights at which the gradient of error and penalty is 0, by Newton's method."""
    matrix, kinds = rows.features, rows.feature_types.values()
    features = [_scale(values, kind) for values, kind in zip(matrix.T, kinds, strict=True)]
    learnt = {"task": spec.task, "intercept": 0.0, "features": features}
    columns = _columns(matrix, features)
    costs = penalty * np.eye(columns.shape[1])
    costs[0, 0] = 1e-9
    weights = np.zeros(columns.shape[1])
    for _ in range(_STEPS if spec.task == "binary" else 1):
        scores = _scores(matrix, learnt)
        slopes = scores * (1 - scores) if spec.task == "binary" else np.ones(len(scores))
        gradient = columns.T @ (scores - rows.labels) + costs @ weights
        weights -= np.linalg.solve((columns.T * slopes) @ columns + costs, gradient)
        learnt["intercept"], *rest = weights.tolist()
        for feature in features:
            feature["weights"], rest = rest[: len(feature["weights"])], rest[len(feature["weights"]) :]
    return learnt


def _scale(values: Matrix, kind: str) -> dict[str, Any]:
    """Return the codes of a category, or where numbers lie and how far apart."""
    known = values[~np.isnan(values)].astype(float)
    if kind == "c":
        codes = np.unique(known).tolist()
        return {"codes": codes, "weights": [0.0] * len(codes)}
    mean, spread = (float(known.mean()), float(known.std())) if known.size else (0.0, 1.0)
    return {"mean": mean, "spread": spread or 1.0, "weights": [0.0]}


def _columns(matrix: Matrix, features: list[dict[str, Any]]) -> Any:
    """Return a column of 1, then one for each code, or one of numbers around 0; a null is 0 in all of them."""
    found = [np.ones(len(matrix))]
    for values, feature in zip(matrix.T.astype(float), features, strict=True):
        if "codes" in feature:
            found += [(values == code).astype(float) for code in feature["codes"]]
        else:
            found.append(np.nan_to_num((values - feature["mean"]) / feature["spread"]))
    return np.column_stack(found)

"""A model bundle as MLflow's pyfunc: raw features in, scores out, without an engine.

MLflow calls :func:`_load_pyfunc` with the bundle's folder; that is the one place of ``compute`` that reads
files. The encoding is the one of :mod:`metaplatform.compute.encoding`, in numpy: tested equal to the bit.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaplatform.compute.learners import LEARNERS
from metaplatform.compute.learners.learning import Score
from metaplatform.errors import DataError
from metaplatform.specs.records.encoding import LARGEST, FittedEncoding, FittedFeature
from metaplatform.specs.records.learnt import Learnt

if TYPE_CHECKING:
    import pandas as pd

_TEXTS = frozenset({"string", "empty"})
_NUMBERS = frozenset({"integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"})


def encode_frame(frame: "pd.DataFrame", fitted: FittedEncoding) -> npt.NDArray[np.float32]:
    """Return the feature matrix (rows x features, float32, NaN for null) of raw features.

    Raises:
        DataError: if a feature is missing or is of another kind than at training.
    """
    matrix = np.empty((len(frame), len(fitted.features)), np.float32)
    for place, feature in enumerate(fitted.features):
        if feature.name not in frame.columns:
            raise DataError(owner=f"feature {feature.name}", culprit="not in the input", fix="send every feature")
        matrix[:, place] = _column(frame[feature.name], feature, fitted)
    return matrix


def _column(values: "pd.Series[Any]", feature: FittedFeature, fitted: FittedEncoding) -> npt.NDArray[np.float64]:
    import pandas as pd

    if values.isna().all():
        return np.full(len(values), np.nan)
    seen = pd.api.types.infer_dtype(values, skipna=True)
    if feature.kind == "category":
        return _codes(values, feature, seen)
    if feature.kind == "time":
        number: npt.NDArray[np.floating[Any]] = _seconds(values, feature, seen) - fitted.origin.timestamp()
    elif seen in _NUMBERS:
        number = values.astype("float64").to_numpy()
    else:
        raise _mismatch(feature, seen)
    return np.where(np.abs(number) <= LARGEST, number, np.nan)


def _codes(values: "pd.Series[Any]", feature: FittedFeature, seen: str) -> npt.NDArray[np.float64]:
    import pandas as pd

    if seen not in _TEXTS:
        raise _mismatch(feature, seen)
    codes = pd.Index(feature.categories, dtype=object).get_indexer(pd.Index(values.astype(object)))
    other = np.where(codes < 0, len(feature.categories), codes).astype(np.float64)
    return np.where(values.isna(), np.nan, other)


def _seconds(values: "pd.Series[Any]", feature: FittedFeature, seen: str) -> npt.NDArray[np.float64]:

    if seen not in {"datetime64", "datetime", "date"}:
        raise _mismatch(feature, seen)
    # Not by pandas: it counts in nanoseconds, which begin in 1677 and end in 2262.
    moments = pa.array(values, from_pandas=True).cast(pa.timestamp("us"), safe=False)
    whole = moments.cast(pa.int64()).fill_null(0).to_numpy() // 1_000_000
    return np.where(moments.is_null().to_numpy(zero_copy_only=False), np.nan, whole.astype(np.float64))


def _mismatch(feature: FittedFeature, seen: str) -> DataError:
    return DataError(
        owner=f"feature {feature.name}",
        culprit=f"{seen} values at scoring, {feature.dtype} at training",
        fix="send the type the model was trained on",
    )


class ServedModel:
    """What MLflow serves: what was learnt, behind its encoding. Scores a pandas frame of raw features."""

    def __init__(self, score: Score, encoding: FittedEncoding, score_column: str) -> None:
        self._score, self._encoding, self._score_column = score, encoding, score_column

    def predict(self, model_input: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """Return one score per row, in the rows' order; ``params`` is MLflow's and unused.

        Raises:
            DataError: if a feature is missing or is of another kind than at training.
        """
        import pandas as pd

        del params
        scores = np.zeros(0)
        if len(model_input):
            scores = np.asarray(self._score(encode_frame(model_input, self._encoding)), np.float64)
        return pd.DataFrame({self._score_column: scores}, index=model_input.index)


def _load_pyfunc(path: str) -> ServedModel:
    folder = Path(path)
    told, encoding = (json.loads((folder / f"{name}.json").read_text()) for name in ("spec", "encoding"))
    learnt = Learnt.of(told, lambda name: (folder / name).read_bytes())
    score = LEARNERS.of(learnt.kind).load(learnt.files, threads=0)
    return ServedModel(score, FittedEncoding.from_json(encoding), told["score_column"])

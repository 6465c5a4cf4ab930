"""Scoring: encoded batches in, scored batches out, one at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaplatform.compute.learners import LEARNERS
from metaplatform.compute.matrix import fill
from metaplatform.errors import DataError
from metaplatform.specs.entities.inference import SCORE_COLUMNS, STAMP_COLUMNS
from metaplatform.specs.fields.metrics import Task
from metaplatform.specs.records.encoding import FittedEncoding
from metaplatform.specs.records.learnt import Learnt

KEPT_PREFIX = "_kept_"
"""Put before the name of a column that is carried along: a feature may have the same name."""
_STAMP_TYPES = (pa.string(), pa.int64(), pa.string(), pa.timestamp("us", tz="UTC"))


@dataclass(frozen=True)
class Scorer:
    """A model version as scoring needs it; features in matrix order."""

    model: str
    version: int
    task: Task
    learnt: Learnt
    encoding: FittedEncoding

    @property
    def score_column(self) -> str:
        """Return the name of the column that holds the score."""
        return SCORE_COLUMNS[self.task]


def score(
    reader: pa.RecordBatchReader, scorer: Scorer, *, run_id: str, scored_at: datetime, threads: int
) -> pa.RecordBatchReader:
    """Return the rows of ``reader`` scored: its other columns, the score, then model name, version, run, time.

    ``reader`` holds the encoded features (see ``compute.encoding.encode``) beside the columns to keep, which lose
    their ``KEPT_PREFIX``. Batches are scored as they are read; no rows give no batches and the same schema.

    Raises:
        DataError: if ``reader`` lacks a feature, or keeps a column of a name that scoring gives.
    """
    features = scorer.encoding.names
    kept = [field for field in reader.schema if field.name not in set(features)]
    given = (scorer.score_column, *STAMP_COLUMNS)
    carried = [field.with_name(field.name.removeprefix(KEPT_PREFIX)) for field in kept]
    _check_columns(reader.schema, features, [field.name for field in carried], given)
    stamps = [
        pa.scalar(value, kind)
        for value, kind in zip((scorer.model, scorer.version, run_id, scored_at), _STAMP_TYPES, strict=True)
    ]
    added = [pa.field(name, kind) for name, kind in zip(given, (pa.float64(), *_STAMP_TYPES), strict=True)]
    schema = pa.schema([*carried, *added])
    predict = Predictor(scorer.learnt, features, threads=threads)

    def scored() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            columns = [batch.column(field.name) for field in kept]
            marks = [pa.repeat(stamp, batch.num_rows) for stamp in stamps]
            yield pa.RecordBatch.from_arrays([*columns, pa.array(predict(batch), pa.float64()), *marks], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, scored())


@dataclass(frozen=True)
class Share:
    """The rows that ``version`` scores: those of event timestamps in ``[since, until)``, UTC; None does not bound."""

    version: int
    since: datetime | None = None
    until: datetime | None = None


def shares(champions: Sequence[tuple[int, datetime]], start: datetime | None) -> tuple[Share, ...]:
    """Return who scores which rows: each row the newest champion that has not learnt from it, and nobody else.

    ``champions`` gives versions with the end of what each has learnt from, the one that is asked for first, then
    those before it. ``start`` is where the rows begin. Rows that no champion may score are in nobody's share.
    """
    found: list[Share] = []
    until: datetime | None = None
    for version, learnt_until in champions:
        if until is None or learnt_until < until:
            found.append(Share(version, learnt_until, until))
            until = learnt_until
        if start is not None and until <= start:
            break
    return tuple(found)


class Predictor:
    """Scores encoded batches by what was learnt; one matrix is kept, and filled for each."""

    def __init__(self, learnt: Learnt, features: Sequence[str], *, threads: int) -> None:
        """Load what was learnt; ``features`` are the matrix's columns."""
        self._features = tuple(features)
        self._score = LEARNERS.of(learnt.kind).load(learnt.files, threads=threads)
        self._matrix = np.empty((0, len(self._features)), np.float32)

    def __call__(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Return one score per row."""
        if not batch.num_rows:
            return np.empty(0)
        if len(self._matrix) < batch.num_rows:
            self._matrix = np.empty((batch.num_rows, len(self._features)), np.float32)
        matrix = self._matrix[: batch.num_rows]
        fill(batch, self._features, matrix)
        return np.asarray(self._score(matrix), np.float64)


def _check_columns(schema: pa.Schema, features: Sequence[str], kept: Sequence[str], given: Sequence[str]) -> None:
    missing = [name for name in features if name not in schema.names]
    if missing:
        raise DataError(
            owner="scoring",
            culprit=f"features {', '.join(missing)} are not in the rows to score",
            fix="build the feature set again, or train the model on the features there are",
        )
    taken = sorted(set(kept) & set(given))
    if taken:
        raise DataError(
            owner="scoring",
            culprit=f"the rows to score have columns {', '.join(taken)} already",
            fix="rename them in the source; these names are the prediction's own",
        )

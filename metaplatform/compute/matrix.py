"""Encoded Arrow batches → float32 blocks to learn from, the same blocks however the batches were cut."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BLOCK_ROWS = 65_536
Block = tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]
"""Feature matrix (rows x features, C order, NaN for null) and labels."""


def fill(batch: pa.RecordBatch, columns: Sequence[str], out: npt.NDArray[np.float32]) -> None:
    """Write columns of ``batch`` into the matrix ``out`` (rows x columns)."""
    for place, name in enumerate(columns):
        out[:, place] = batch.column(name).to_numpy(zero_copy_only=False)


def blocks(batches: Iterable[pa.RecordBatch], features: Sequence[str], *, label: str = "label") -> Iterator[Block]:
    """Yield blocks of ``BLOCK_ROWS`` rows (the last one shorter), rows in the batches' order.

    What is learnt may depend on how rows are cut, so blocks never follow the engine's batches.
    """
    matrix, labels, filled = _empty(len(features)), np.empty(BLOCK_ROWS), 0
    for batch in batches:
        done = 0
        while done < batch.num_rows:
            part = batch.slice(done, min(BLOCK_ROWS - filled, batch.num_rows - done))
            end = filled + part.num_rows
            fill(part, features, matrix[filled:end])
            labels[filled:end] = part.column(label).to_numpy(zero_copy_only=False)
            done, filled = done + part.num_rows, end
            if filled == BLOCK_ROWS:
                yield matrix, labels
                matrix, labels, filled = _empty(len(features)), np.empty(BLOCK_ROWS), 0
    if filled:
        yield matrix[:filled], labels[:filled]


def _empty(columns: int) -> npt.NDArray[np.float32]:
    return np.empty((BLOCK_ROWS, columns), np.float32)

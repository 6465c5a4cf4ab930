"""What a learner is: the work of one kind of model, from encoded rows to files of data, and from these to scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from metaplatform.compute.matrix import Block

Matrix = npt.NDArray[np.float32]
"""Encoded rows x features, NaN for null: numbers as they are, texts as the code of their category, times as seconds."""
Score = Callable[[Matrix], npt.NDArray[Any]]
"""Encoded rows → a score each: a probability, or a number in the label's unit."""


@dataclass(frozen=True)
class Rows:
    """Labelled rows in the order that training needs, in blocks: a learner that can read these keeps no second copy.

    ``feature_types`` gives the features in the matrix's order: ``c`` categorical, ``q`` quantitative.
    """

    parts: Sequence[Block]
    feature_types: Mapping[str, str]

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(len(labels) for _, labels in self.parts)

    @property
    def features(self) -> Matrix:
        """Return all blocks as one matrix."""
        empty = np.empty((0, len(self.feature_types)), np.float32)
        return np.concatenate([empty, *(matrix for matrix, _ in self.parts)])

    @property
    def labels(self) -> npt.NDArray[np.float64]:
        """Return the labels of all blocks: 0 or 1 of a binary task."""
        return np.concatenate([np.empty(0), *(labels for _, labels in self.parts)])


@dataclass(frozen=True)
class Fit:
    """What a training gave.

    ``files`` are what scoring needs, by name. ``found`` is what the validation rows have decided: a refit takes it,
    and it is logged. ``curves`` are metrics step by step, logged too. ``importance`` is each feature's share, if it
    can be told.
    """

    files: Mapping[str, bytes]
    found: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    importance: Mapping[str, float] = field(default_factory=dict)


class Learner(Protocol):
    """The work of one kind of model; a module of these names is one.

    The same rows, spec and seed give the same files, with any number of ``threads`` (0: as many as there are).
    """

    REQUIREMENTS: tuple[str, ...]
    """Distributions that scoring needs, beside the platform's and the one that adds the kind."""

    def train(self, rows: Rows, stopping: Rows, spec: Any, *, seed: int, threads: int) -> Fit:
        """Learn from ``rows``, as long as what is learnt gains on the rows of ``stopping``.

        Raises:
            DataError: if the model's settings cannot be followed.
        """

    def refit(self, rows: Rows, spec: Any, found: Mapping[str, Any], *, seed: int, threads: int) -> Mapping[str, bytes]:
        """Learn once more, from all ``rows``, with what a training has ``found``; return the files."""

    def load(self, files: Mapping[str, bytes], *, threads: int) -> Score:
        """Return what scores, of the files that were made."""

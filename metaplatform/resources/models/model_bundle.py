"""A model bundle: a folder of data, never pickle, from which a version can be scored, judged and explained."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from metaplatform.errors import DataError, RegistryError
from metaplatform.specs.entities.inference import SCORE_COLUMNS
from metaplatform.specs.fields.metrics import Task
from metaplatform.specs.records.encoding import FittedEncoding
from metaplatform.specs.records.learnt import Learnt

JUDGED = "judged"
"""Folder within a bundle: what was judged, where something else scores."""
_INSTANTS = ("trained_from", "trained_until", "holdout_from", "cut")


@dataclass(frozen=True)
class TrainingLineage:
    """What a version was made from.

    What scores has seen event timestamps in [``trained_from``, ``trained_until``). What was judged has seen, or
    been stopped by, those before ``holdout_from``; the holdout follows, up to ``cut``. Both ends are the same one
    unless the version was refitted: then it scores with what all rows before the cut have taught. ``inputs`` maps
    references to the Delta versions that were read, ``definitions`` each feature to a hash of what it meant (empty:
    an earlier release has trained it). Rows without a label yet, or excluded on purpose, are counted, not learnt from.
    """

    trained_from: datetime
    trained_until: datetime
    holdout_from: datetime
    cut: datetime
    training_rows: int
    validation_rows: int
    holdout_rows: int
    excluded_rows: int
    unlabelled_rows: int
    spec_hash: str
    seed: int
    inputs: Mapping[str, int] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)

    @property
    def labelled_rows(self) -> int:
        """Return the labelled rows of the window, those of the holdout too."""
        return self.training_rows + self.validation_rows + self.holdout_rows

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; instants as ISO 8601 in UTC."""
        instants = {name: getattr(self, name).astimezone(UTC).isoformat() for name in _INSTANTS}
        return {**asdict(self), "inputs": dict(self.inputs), "definitions": dict(self.definitions), **instants}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the lineage that :meth:`to_json` gave; before versions were refitted it did not tell the holdout."""
        values = {"holdout_from": values["trained_until"], **values}
        return cls(**{**values, **{name: datetime.fromisoformat(values[name]) for name in _INSTANTS}})


@dataclass(frozen=True)
class Judged:
    """What a refitted version was judged by, with its encoding: it has not seen the holdout."""

    learnt: Learnt
    encoding: FittedEncoding


@dataclass(frozen=True)
class ModelBundle:
    """Everything of one model version.

    ``learnt`` is what scores; ``target`` the label's expression, for readers; ``reference`` the digest that
    drift is measured against, as JSON values; ``metrics`` are None where undefined. ``refitted_from`` is what was
    judged, where that is not what scores.
    """

    learnt: Learnt
    encoding: FittedEncoding
    task: Task
    target: str
    lineage: TrainingLineage
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    reference: Mapping[str, Any] = field(default_factory=dict)
    refitted_from: Judged | None = None

    @property
    def judged(self) -> Judged:
        """Return what the version's metrics are of, and what it is compared by."""
        return self.refitted_from or Judged(self.learnt, self.encoding)

    @property
    def score_column(self) -> str:
        """Return the name of the column that holds the score."""
        return SCORE_COLUMNS[self.task]

    @property
    def digest(self) -> str:
        """Return 16 hex digits of what decides the scores: what was learnt, encoding and task."""
        content = hashlib.sha256()
        for name in sorted(self.learnt.files):
            content.update(self.learnt.files[name])
        content.update(_text({"encoding": self.encoding.to_json(), "task": self.task}).encode())
        return content.hexdigest()[:16]

    def write(self, folder: Path) -> None:
        """Write the bundle's files into ``folder``, which is made."""
        folder.mkdir(parents=True)
        spec = {
            "task": self.task,
            "target": self.target,
            "score_column": self.score_column,
            "features": list(self.encoding.names),
            **self.learnt.to_json(),
        }
        parts = {
            "encoding": self.encoding.to_json(),
            "spec": spec,
            "lineage": self.lineage.to_json(),
            "metrics": dict(self.metrics),
            "reference": dict(self.reference),
        }
        for name, values in parts.items():
            (folder / f"{name}.json").write_text(_text(values), encoding="utf-8")
        _write_files(folder, self.learnt)
        if self.refitted_from is not None:
            (folder / JUDGED).mkdir()
            encoding = _text(self.refitted_from.encoding.to_json())
            (folder / JUDGED / "encoding.json").write_text(encoding, encoding="utf-8")
            _write_files(folder / JUDGED, self.refitted_from.learnt)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the bundle that :meth:`write` left in ``folder``.

        Raises:
            RegistryError: if a file is missing or is not what :meth:`write` makes.
        """
        try:
            parts = {
                name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
                for name in ("encoding", "spec", "lineage", "metrics", "reference")
            }
            return cls(
                learnt=_learnt(folder, parts["spec"]),
                encoding=FittedEncoding.from_json(parts["encoding"]),
                task=parts["spec"]["task"],
                target=parts["spec"]["target"],
                lineage=TrainingLineage.from_json(parts["lineage"]),
                metrics=parts["metrics"],
                reference=parts["reference"],
                refitted_from=_judged(folder / JUDGED, parts["spec"]),
            )
        except (OSError, ValueError, KeyError, TypeError, DataError) as error:
            raise RegistryError(
                owner="model registry",
                culprit=f"the model bundle in {folder} cannot be read ({error})",
                fix="restore the folder from a backup, roll back to another version, or train again",
            ) from error


def _judged(folder: Path, spec: Mapping[str, Any]) -> Judged | None:
    if not folder.exists():
        return None
    encoding = json.loads((folder / "encoding.json").read_text(encoding="utf-8"))
    return Judged(_learnt(folder, spec), FittedEncoding.from_json(encoding))


def _learnt(folder: Path, spec: Mapping[str, Any]) -> Learnt:
    return Learnt.of(spec, lambda name: (folder / name).read_bytes())


def _write_files(folder: Path, learnt: Learnt) -> None:
    """Write what was learnt beside what is told of it.

    Raises:
        RegistryError: if a file would take the place of another.
    """
    for name, content in learnt.files.items():
        path = folder / name
        if path.exists() or path.parent != folder:
            raise RegistryError(
                owner=f"models of kind '{learnt.kind}'",
                culprit=f"'{name}' cannot be the name of a file in a model bundle",
                fix="let the learner name its files otherwise",
            )
        path.write_bytes(content)


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)

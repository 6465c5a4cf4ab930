"""What a version has learnt: plain files of data, and the kind of model that can read them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

_FIRST: Mapping[str, Any] = {"kind": "xgboost", "files": ["model.ubj"]}
"""What is true of bundles that do not say it: they were made when XGBoost was the only kind of model."""


@dataclass(frozen=True)
class Learnt:
    """``files`` by name, as the learner of ``kind`` makes and reads them: data, never pickle."""

    kind: str
    files: Mapping[str, bytes]

    def to_json(self) -> dict[str, Any]:
        """Return the kind and the names of the files, as JSON values."""
        return {"kind": self.kind, "files": sorted(self.files)}

    @classmethod
    def of(cls, values: Mapping[str, Any], read: Callable[[str], bytes]) -> Self:
        """Return what :meth:`to_json` has named, each file read by its name."""
        named = {**_FIRST, **values}
        return cls(named["kind"], {name: read(name) for name in named["files"]})

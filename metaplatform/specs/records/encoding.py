"""What training fits of its features: plain values, kept with the model and applied by ``compute.encoding``."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self, get_args

from metaplatform.errors import DataError

FeatureKind = Literal["number", "category", "time"]
LARGEST = 3.4028234663852886e38
"""The largest float32: a number beyond it has no place in a feature matrix and becomes null."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class FittedFeature:
    """One feature as it was at training.

    ``dtype`` is its type then, for messages and signatures. ``categories`` are the known texts, sorted: the
    code of a text is its place, the code of any other text is their number.
    """

    name: str
    kind: FeatureKind
    dtype: str
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a kind that no encoding knows."""
        if self.kind not in get_args(FeatureKind):
            raise ValueError(f"unknown kind '{self.kind}'")


@dataclass(frozen=True)
class FittedEncoding:
    """The features of a model in matrix order, with what was fitted; plain data, in and out as JSON values.

    Times are seconds since ``origin``: float32 keeps seconds over months, not over decades.
    """

    features: tuple[FittedFeature, ...]
    origin: datetime = EPOCH

    @property
    def names(self) -> tuple[str, ...]:
        """Return the feature names in matrix order."""
        return tuple(feature.name for feature in self.features)

    @property
    def feature_types(self) -> dict[str, str]:
        """Return the type of each feature, in matrix order: ``c`` categorical, ``q`` quantitative."""
        return {feature.name: "c" if feature.kind == "category" else "q" for feature in self.features}

    def to_json(self) -> dict[str, Any]:
        """Return the encoding as JSON values."""
        features = [{**asdict(feature), "categories": list(feature.categories)} for feature in self.features]
        return {"origin": self.origin.isoformat(), "features": features}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the encoding that :meth:`to_json` gave.

        Raises:
            DataError: if the values are not an encoding.
        """
        try:
            features = tuple(
                FittedFeature(**{**feature, "categories": tuple(feature["categories"])})
                for feature in values["features"]
            )
            return cls(features, datetime.fromisoformat(values["origin"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                owner="encoding",
                culprit=f"these values are not a fitted encoding ({error})",
                fix="train the model again",
            ) from error

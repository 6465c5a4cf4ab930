"""Chapter ``monitors``: what is watched, and from where on it fails."""

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, model_validator

from metaplatform.chapters import MONITORS, PREDICTIONS
from metaplatform.specs.entities.entity import Entity, Neighbours
from metaplatform.specs.fields.base import Many, Name, Spec
from metaplatform.specs.fields.metrics import Metric
from metaplatform.specs.fields.references import Reference, named

GATE = "profile"
"""Check of the data itself: where it fails, drift has no vote and reactions are held back."""


class MetricLimit(Spec):
    """Bounds of one metric: an absolute ``min`` or ``max``, or ``max_loss`` against the version's holdout score.

    ``max_loss`` is absolute, in the metric's unit, in its worse direction.
    """

    min: float | None = None
    max: float | None = None
    max_loss: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _some_bound(self) -> "MetricLimit":
        if self.min is None and self.max is None and self.max_loss is None:
            raise ValueError("a metric needs min, max or max_loss")
        return self


class Monitor(Entity):
    """What every monitor has: the ``prediction`` it watches."""

    chapter = MONITORS
    kind: str
    prediction: Name

    @property
    def prediction_ref(self) -> str:
        """Return the reference of the prediction that is watched."""
        return PREDICTIONS.ref(self.prediction)

    @property
    def checks(self) -> tuple[str, ...]:
        """Return the names of what is judged, each an asset check of the prediction."""
        raise NotImplementedError

    @property
    def waits_for_labels(self) -> bool:
        """Tell whether the monitor judges rows once their labels are mature, and not as soon as they are scored."""
        return False

    @property
    def vote(self) -> Literal["drift", "performance"]:
        """Return in which vote of a retrain policy the monitor has a say."""
        return "performance" if self.waits_for_labels else "drift"

    @property
    def least_rows(self) -> int:
        """Return under how many rows nothing is judged, which the field ``min_rows`` says."""
        return 0

    @property
    def limits(self) -> Mapping[Metric, MetricLimit]:
        """Return the bounds of realized metrics that the field ``metrics`` says."""
        return {}

    @property
    def excluded(self) -> tuple[str, ...]:
        """Return the features that are not judged."""
        return ()

    @property
    def told(self) -> str:
        """Return what is kept here."""
        return f"What the checks of {self.kind} on {self.prediction_ref} have found."

    def references(self) -> Iterator[Reference]:
        """Yield what the monitor is ordered behind, and its prediction."""
        yield from super().references()
        yield from named(self, "prediction", PREDICTIONS)

    def upstream(self, book: Neighbours) -> Iterator[str]:
        """Yield the prediction."""
        del book
        yield self.prediction_ref

    def partition_parent(self, book: Neighbours) -> str | None:
        """Return the prediction."""
        del book
        return self.prediction_ref


class ProfileLimits(Spec):
    """Gate before drift: how far a column may depart from the reference before it is a fault of the data.

    ``null_increase`` and ``new_category_share`` are differences of shares of rows (0 to 1).
    """

    null_increase: float = Field(default=0.2, ge=0, le=1)
    new_category_share: float = Field(default=0.1, ge=0, le=1)


class DriftMonitor(Monitor):
    """Evidently data drift of features and scores of ``prediction`` against the champion's training reference.

    A column drifts when its distance (Wasserstein over standard deviation for numbers, Jensen-Shannon
    for categories) is over ``threshold``, widened for few rows. ``data_drift`` fails when the share of
    drifted columns reaches ``drift_share``; ``prediction_drift`` when the score column drifts. Under
    ``min_rows`` nothing is judged. ``exclude`` leaves features out.
    """

    kind: Literal["drift"]
    threshold: float = Field(default=0.1, gt=0)
    drift_share: float = Field(default=0.5, gt=0, le=1)
    min_rows: int = Field(default=300, ge=1)
    exclude: Many[Name] = ()
    profile: ProfileLimits = ProfileLimits()

    @property
    def checks(self) -> tuple[str, ...]:
        """Return the checks of the data's profile, of the features' drift and of the scores' drift."""
        return (GATE, "data_drift", "prediction_drift")

    @property
    def least_rows(self) -> int:
        """Return under how many rows nothing is judged."""
        return self.min_rows

    @property
    def excluded(self) -> tuple[str, ...]:
        """Return the features that are not judged."""
        return self.exclude


class PerformanceMonitor(Monitor):
    """Realized ``metrics`` of ``prediction`` where labels are mature, by a version not trained on those rows.

    Under ``min_rows`` nothing is judged.
    """

    kind: Literal["performance"]
    metrics: dict[Metric, MetricLimit] = Field(min_length=1)
    min_rows: int = Field(default=300, ge=1)

    @property
    def checks(self) -> tuple[str, ...]:
        """Return the metrics, each a check."""
        return tuple(self.metrics)

    @property
    def waits_for_labels(self) -> bool:
        """Return True: realized performance is that of labels."""
        return True

    @property
    def least_rows(self) -> int:
        """Return under how many mature labels nothing is judged."""
        return self.min_rows

    @property
    def limits(self) -> Mapping[Metric, MetricLimit]:
        """Return the metrics with their bounds."""
        return self.metrics

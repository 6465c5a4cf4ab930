"""Chapter ``monitors``: what is watched, and from where on it fails."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from metaplatform.specs.base import Entity, Many, Name, Spec
from metaplatform.specs.training import Metric


class ProfileLimits(Spec):
    """Gate before drift: how far a column may depart from the reference before it is a fault of the data.

    ``null_increase`` and ``new_category_share`` are differences of shares of rows (0 to 1).
    """

    null_increase: float = Field(default=0.2, ge=0, le=1)
    new_category_share: float = Field(default=0.1, ge=0, le=1)


class DriftMonitor(Entity):
    """Evidently data drift of features and scores of ``prediction`` against the champion's training reference.

    A column drifts when its distance (Wasserstein over standard deviation for numbers, Jensen-Shannon
    for categories) is over ``threshold``, widened for few rows. ``data_drift`` fails when the share of
    drifted columns reaches ``drift_share``; ``prediction_drift`` when the score column drifts. Under
    ``min_rows`` nothing is judged. ``exclude`` leaves features out.
    """

    kind: Literal["drift"]
    prediction: Name
    threshold: float = Field(default=0.1, gt=0)
    drift_share: float = Field(default=0.5, gt=0, le=1)
    min_rows: int = Field(default=300, ge=1)
    exclude: Many[Name] = ()
    profile: ProfileLimits = ProfileLimits()


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


class PerformanceMonitor(Entity):
    """Realized ``metrics`` of ``prediction`` where labels are mature, by a version not trained on those rows.

    Under ``min_rows`` nothing is judged.
    """

    kind: Literal["performance"]
    prediction: Name
    metrics: dict[Metric, MetricLimit] = Field(min_length=1)
    min_rows: int = Field(default=300, ge=1)


MonitorSpec = Annotated[DriftMonitor | PerformanceMonitor, Field(discriminator="kind")]

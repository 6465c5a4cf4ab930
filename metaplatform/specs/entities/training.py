"""Chapter ``models``: what is learnt, from what, when again, and when the new one is taken."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import Field, model_validator

from metaplatform.chapters import FEATURE_SETS, MODELS, MONITORS
from metaplatform.specs.entities.entity import Entity, Neighbours
from metaplatform.specs.fields.base import Expression, Interval, Many, Name, Spec
from metaplatform.specs.fields.metrics import Metric, Task
from metaplatform.specs.fields.reads import WHOLE, Reach
from metaplatform.specs.fields.references import Path, Reference, named, texts_at
from metaplatform.specs.unknown import readable, until_unknown


class TargetSpec(Spec):
    """The label: ``sql`` is an expression over the spine's columns (true or false for ``binary``, a number otherwise).

    Rows where ``exclude`` is true are left out on purpose, from training and from evaluation; they are
    counted, and still scored.
    """

    sql: Expression
    exclude: Expression | None = None


class TrainingSpec(Spec):
    """How a version is trained.

    ``window`` of rows before the cut; its newest ``holdout`` is kept from training, for the comparison
    of challenger and champion; the newest ``validation_share`` of the rest tells when to stop. Under
    ``min_rows`` no version is made. A text column keeps its ``max_categories`` most frequent values.
    ``seed`` makes training repeatable.
    With ``refit`` a version that becomes champion is trained once more, on the whole window with what the validation
    has told, before it scores anything: its metrics stay those of the version that was judged.
    """

    window: Interval
    holdout: Interval
    validation_share: float = Field(default=0.2, gt=0, lt=0.9)
    min_rows: int = Field(default=1_000, ge=10)
    max_categories: int = Field(default=64, ge=2, le=10_000)
    seed: int = Field(default=0, ge=0)
    refit: bool = True


class PromotionSpec(Spec):
    """When a challenger becomes champion.

    Its gain in ``metric`` over the champion, on the same rows neither was trained on, must be over
    ``min_gain`` with ``confidence`` (one-sided, paired bootstrap of ``resamples``), on ``min_rows`` at least.
    """

    metric: Metric
    min_gain: float = Field(default=0.0, ge=0)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    resamples: int = Field(default=500, ge=100, le=100_000)
    min_rows: int = Field(default=500, ge=10)


class VoteSpec(Spec):
    """``failures`` of the last ``of`` observations of any of these ``monitors`` ask for a retrain."""

    monitors: Many[Name] = Field(min_length=1)
    failures: int = Field(default=1, ge=1)
    of: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _failures_within(self) -> "VoteSpec":
        if self.failures > self.of:
            raise ValueError(f"failures ({self.failures}) cannot exceed of ({self.of})")
        return self


class RetrainPolicy(Spec):
    """When a model is trained again; any trigger suffices, never within ``cooldown`` of the last retrain.

    ``schedule`` is cron (five fields, in ``timezone``); ``drift`` and ``performance`` are votes over
    monitors; ``new_rows`` counts labelled rows that the last training has not seen. Whatever asks, there must be
    ``min_new_rows`` of those (default: 1% of the labelled rows in the training window, and at least one): fewer
    would make nearly the same version again. The first version is trained once the data spans ``first_after``
    (default: the training window), and starts no cooldown.
    """

    cooldown: Interval
    first_after: Interval | None = None
    schedule: str | None = None
    timezone: str = "UTC"
    drift: VoteSpec | None = None
    performance: VoteSpec | None = None
    new_rows: int | None = Field(default=None, ge=1)
    min_new_rows: int | None = Field(default=None, ge=1)

    @property
    def cron(self) -> tuple[str, str] | None:
        """Return the schedule and its time zone, None if there is none."""
        return (self.schedule, self.timezone) if self.schedule else None


VOTES = tuple(name for name, field in RetrainPolicy.model_fields.items() if VoteSpec in get_args(field.annotation))
"""The fields of a retrain policy that are votes; a monitor says by the same name in which of them it has a say."""


class ModelSpec(Entity):
    """What every kind of model has.

    ``task`` says whether the ``target`` is true or false (``binary``) or a number (``regression``).
    ``feature_set`` names what describes its rows.
    ``features`` limits the feature set's features (all, if empty), ``exclude`` takes some away.
    ``label_delay`` is how long after the event timestamp a label is known (default: the spine's
    outcome delay).
    """

    chapter = MODELS
    kind: str
    task: Task
    feature_set: Name
    features: Many[Name] = ()
    exclude: Many[Name] = ()
    target: TargetSpec
    label_delay: Interval | None = None
    training: TrainingSpec
    promotion: PromotionSpec
    retrain: RetrainPolicy | None = None

    @property
    def feature_set_ref(self) -> str:
        """Return the reference of the feature set that describes its rows."""
        return FEATURE_SETS.ref(self.feature_set)

    @property
    def learning(self) -> dict[str, Any]:
        """Return what decides how the model learns, as JSON values by name: its training, and its kind's own fields."""
        own = set(type(self).model_fields) - set(ModelSpec.model_fields)
        return {**self.training.model_dump(mode="json"), **self.model_dump(mode="json", include=own)}

    @property
    def asset_kinds(self) -> tuple[str, ...]:
        """Return what has learnt it, and where its versions are."""
        return (self.kind, "mlflow")

    @property
    def told(self) -> str:
        """Return what is learnt from what."""
        return f"Learns {self.target.sql} from {self.feature_set_ref}."

    def expressions(self) -> Iterator[tuple[Path, str]]:
        """Yield the target, and what is excluded from it."""
        with until_unknown():
            yield from texts_at(self.target, "sql", ("target",))
            yield from texts_at(self.target, "exclude", ("target",))

    def references(self) -> Iterator[Reference]:
        """Yield what the model is ordered behind, its feature set, and the monitors that can ask for a training."""
        yield from super().references()
        yield from named(self, "feature_set", FEATURE_SETS)
        for trigger in VOTES:
            yield from readable(self._voters(trigger))

    def _voters(self, trigger: str) -> Iterator[Reference]:
        vote: VoteSpec | None = getattr(self.retrain, trigger) if self.retrain is not None else None
        for index, monitor in enumerate(vote.monitors if vote is not None else ()):
            path = ("retrain", trigger, "monitors", index)
            yield Reference(path, MONITORS.ref(monitor), (MONITORS.prefix,), monitor, orders=False)

    def reads(self, book: Neighbours) -> dict[str, tuple[Reach, ...]]:
        """Return all features, and all rows that they describe: labels come from these."""
        return {self.feature_set_ref: (WHOLE,), book.feature_sets[self.feature_set].spine: (WHOLE,)}

    @property
    def policy_fields(self) -> frozenset[str]:
        """Return what says when to train again and whom to promote: a version's rows and trees depend on neither."""
        return frozenset({"promotion", "retrain"})

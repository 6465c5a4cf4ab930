"""Chapter ``feature_sets``: features of an entity, known at its event timestamp."""

from typing import Annotated, Literal

from pydantic import Field

from metaplatform.specs.base import ColumnName, Entity, Expression, Interval, Many, Name, Ref, Spec
from metaplatform.specs.duration import Duration


class ExpressionFeatures(Spec):
    """Features computed from the spine's columns and from features above this block: ``columns``, by name."""

    kind: Literal["expression"]
    columns: dict[Name, Expression] = Field(min_length=1)


class JoinedFeatures(Spec):
    """What blocks that read another ``table`` share: ``on`` maps a spine column to that table's column.

    ``columns`` are the features by name, each an expression over that table's columns.
    """

    table: Ref
    on: dict[ColumnName, ColumnName] = Field(min_length=1)
    columns: dict[Name, Expression] = Field(min_length=1)


class LookupFeatures(JoinedFeatures):
    """Facts of a slowly changing table, joined by key; a row without a match keeps nulls.

    The table must be unique by the ``on`` columns.
    """

    kind: Literal["lookup"]


class AsOfFeatures(JoinedFeatures):
    """The latest row of the table known before the spine row's event timestamp (point-in-time join).

    A row is known ``delay`` after its own event timestamp, and too old after ``within``.
    """

    kind: Literal["as_of"]
    delay: Interval = Duration()
    within: Interval | None = None


class WindowFeatures(JoinedFeatures):
    """Aggregates over the table's rows that became known in the ``window`` before the spine row's event timestamp.

    A row is known ``delay`` after its own event timestamp, so a delay moves the window back. ``where`` keeps
    some rows only. ``columns`` are aggregate expressions such as ``avg(arr_delay)``.
    """

    kind: Literal["window"]
    window: Interval
    delay: Interval = Duration()
    where: Expression | None = None


FeatureBlock = Annotated[
    ExpressionFeatures | LookupFeatures | AsOfFeatures | WindowFeatures, Field(discriminator="kind")
]


class FeatureSetSpec(Entity):
    """What is known of each row of ``spine``: its entity key, its event timestamp, then ``features`` by blocks."""

    spine: Ref
    features: Many[FeatureBlock] = Field(min_length=1)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the names of all features, in book order."""
        return tuple(name for block in self.features for name in block.columns)

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the references of every table read, spine first, without repeats."""
        joined = (block.table for block in self.features if isinstance(block, JoinedFeatures))
        return tuple(dict.fromkeys((self.spine, *joined)))

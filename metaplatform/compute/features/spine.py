"""The spine in the making: rows of the entity, to which each block of features adds columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import ibis
import ibis.expr.datatypes as dt
from sqlglot import exp

from metaplatform.compute.instants import microseconds
from metaplatform.compute.sql_columns import Scope, Steps, column
from metaplatform.specs.entities.ingestion import TimedTable
from metaplatform.specs.fields.partitions import Window


@dataclass(frozen=True)
class Table:
    """A table of the book as blocks read it: its columns' types, and what the book declares of it."""

    ref: str
    types: Mapping[str, dt.DataType]
    spec: TimedTable
    scope: Scope

    @classmethod
    def of(cls, ref: str, table: ibis.Table, spec: TimedTable, *, owner: str) -> "Table":
        """Describe ``table``; errors name ``owner`` and ``ref``."""
        return cls(ref, dict(table.schema()), spec, Scope.of(table.columns, f"{owner}: {ref}"))

    @property
    def event_timestamp(self) -> tuple[exp.Column, dt.DataType]:
        """Return the event timestamp's column and type; validation has seen to it that there is one."""
        name = self.scope.find(str(self.spec.event_timestamp))
        return column(name), self.types[name]

    def event_microseconds(self) -> exp.Expr:
        """Return the event timestamp in microseconds since 1970."""
        return microseconds(*self.event_timestamp, owner=self.scope.owner)


@dataclass(frozen=True)
class Spine:
    """Where the making stands.

    ``current`` is the step that holds all columns so far, ``scope`` what expressions may read of it,
    ``base`` the step of the spine's own rows. ``moment`` is the column of the event timestamp in
    microseconds, empty without one. ``window`` limits the spine's rows. ``joined`` names the columns of
    features that are joined already, some of them ahead of their block.
    """

    steps: Steps
    table: Table
    base: str
    current: str
    scope: Scope
    moment: str
    window: Window | None
    joined: Mapping[str, str] = field(default_factory=dict)

    def moved_to(self, current: str, scope: Scope) -> "Spine":
        """Return the spine at a later step."""
        return replace(self, current=current, scope=scope)

    def is_own(self, name: str) -> bool:
        """Tell whether ``name`` still means the spine's own column, not a feature."""
        return self.scope.find(name) == self.table.scope.columns.get(name.lower())

"""The kinds of features: how each comes to be known of a row of the spine at its event timestamp."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from metaplatform.chapters import TIMED
from metaplatform.specs.fields.base import ColumnName, Expression, Interval, Name, Ref, Spec
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.reads import AS_MADE, SAME, Reach, from_any_row
from metaplatform.specs.fields.references import Path, Reference, whole
from metaplatform.sql.value_kinds import Kind


class FeaturesBlock(Spec):
    """Features of the rows of the spine, some in each block: ``columns``, by name, each an expression."""

    if TYPE_CHECKING:  # Each kind has the fields in an order of its own.
        kind: str
        columns: dict[Name, Expression]

    @property
    def joined(self) -> Ref | None:
        """Return the reference of the table that is joined to the spine; None for features of the row itself."""
        return None

    @property
    def matches(self) -> Mapping[str, str]:
        """Return which columns of the spine match which of the joined table."""
        return {}

    @property
    def known_after(self) -> Duration | None:
        """Return how long after its event timestamp a row of the joined table is known; None if it is not asked."""
        return None

    @property
    def reach(self) -> Reach:
        """Return how much of the joined table is read."""
        return SAME

    @property
    def aggregates(self) -> bool:
        """Tell whether each feature is an aggregate over many rows of the joined table."""
        return False

    def column_kind(self, kind: Kind) -> Kind:
        """Return the kind of values of a feature whose expression has values of ``kind``; None if it is not known."""
        return kind

    def conditions(self) -> Iterator[tuple[str, str]]:
        """Yield each condition on rows of the joined table: its field and its SQL."""
        yield from ()

    def references(self, path: Path) -> Iterator[Reference]:
        """Yield every reference that the block makes; ``path`` leads to the block."""
        del path
        yield from ()

    def empty_spans(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield each span of time that holds no row: its field, its value, why it holds none, and the fix."""
        yield from ()


class ExpressionFeatures(FeaturesBlock):
    """Features computed from the spine's columns and from features above this block: ``columns``, by name."""

    kind: Literal["expression"]
    columns: dict[Name, Expression] = Field(min_length=1)


class JoinedFeatures(FeaturesBlock):
    """What blocks that read another ``table`` share: ``on`` maps a spine column to that table's column.

    ``columns`` are the features by name, each an expression over that table's columns.
    """

    table: Ref
    on: dict[ColumnName, ColumnName] = Field(min_length=1)
    columns: dict[Name, Expression] = Field(min_length=1)

    @property
    def joined(self) -> Ref | None:
        """Return the reference of the table that is joined to the spine."""
        return self.table

    @property
    def matches(self) -> Mapping[str, str]:
        """Return which columns of the spine match which of the joined table."""
        return self.on

    def references(self, path: Path) -> Iterator[Reference]:
        """Yield the table that is joined."""
        yield from whole(self, "table", TIMED, path)


class LookupFeatures(JoinedFeatures):
    """Facts of a slowly changing table, joined by key; a row without a match keeps nulls.

    The table must be unique by the ``on`` columns.
    """

    kind: Literal["lookup"]

    @property
    def reach(self) -> Reach:
        """Return all there is: facts that are looked up count as they are when the row is described."""
        return AS_MADE


class AsOfFeatures(JoinedFeatures):
    """The latest row of the table known before the spine row's event timestamp (point-in-time join).

    A row is known ``delay`` after its own event timestamp, and too old after ``within``.
    """

    kind: Literal["as_of"]
    delay: Interval = Duration()
    within: Interval | None = None

    @property
    def known_after(self) -> Duration | None:
        """Return how long after its event timestamp a row of the joined table is known."""
        return self.delay

    @property
    def reach(self) -> Reach:
        """Return the rows not older than ``within``; all that lie before where it is left out."""
        return Reach("span", None if self.within is None else from_any_row((self.within,)), delay=self.delay)

    def empty_spans(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield ``within`` where a latest row is too old when it becomes known."""
        if self.within and self.within.longest <= self.delay.shortest:
            why = f"a row known {self.delay} after its moment is older than {self.within} by then"
            yield "within", str(self.within), why, "make 'within' longer than 'delay'"


class WindowFeatures(JoinedFeatures):
    """Aggregates over the table's rows that became known in the ``window`` before the spine row's event timestamp.

    A row is known ``delay`` after its own event timestamp, so a delay moves the window back. ``where`` keeps
    some rows only. ``columns`` are aggregate expressions such as ``avg(arr_delay)``.
    """

    kind: Literal["window"]
    window: Interval
    delay: Interval = Duration()
    where: Expression | None = None

    @property
    def known_after(self) -> Duration | None:
        """Return how long after its event timestamp a row of the joined table is known."""
        return self.delay

    @property
    def reach(self) -> Reach:
        """Return the rows of the window before any row of a partition."""
        return Reach("span", from_any_row((self.window, self.delay)), delay=self.delay)

    @property
    def aggregates(self) -> bool:
        """Return True."""
        return True

    def empty_spans(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield a window of no length; a delay moves a window back as a whole."""
        if not self.window.longest:
            why = f"no row lies in a window of {self.window}"
            yield "window", str(self.window), why, "make 'window' longer than zero"

    def conditions(self) -> Iterator[tuple[str, str]]:
        """Yield the condition on the rows that are aggregated, if there is one."""
        if self.where is not None:
            yield "where", str(self.where)

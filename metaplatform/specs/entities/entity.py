"""The base of every entity of the book: its fields for people, and the facts that each kind tells of itself."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

from metaplatform.chapters import ASSETS, Chapter
from metaplatform.specs.fields.base import PRESENTATION, Many, Name, Owner, Ref, Spec
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.fields.reads import Reach
from metaplatform.specs.fields.references import Path, Reference, whole


class Learning(Protocol):
    """What an entity may ask of a model."""

    @property
    def kind(self) -> str:
        """Return what learns it."""

    @property
    def feature_set(self) -> str:
        """Return the feature set that describes the model's rows."""

    @property
    def feature_set_ref(self) -> str:
        """Return the reference of that feature set."""

    @property
    def task(self) -> str:
        """Return what kind of label is learnt."""


class Describing(Protocol):
    """What an entity may ask of a feature set."""

    @property
    def spine(self) -> str:
        """Return the reference of the table whose rows are described."""


class Neighbours(Protocol):
    """What an entity may ask of the book that it stands in."""

    @property
    def models(self) -> Mapping[str, Learning]:
        """Return the models by name."""

    @property
    def feature_sets(self) -> Mapping[str, Describing]:
        """Return the feature sets by name."""


class Entity(Spec):
    """What every entity of the book has.

    ``name`` is the entity's key in its chapter. ``after`` orders it behind assets it does not read.
    ``description``, ``owners``, ``tags`` and ``docs`` (a URL) are shown in Dagster's UI; neither they nor
    ``after`` ever make anything stale.
    """

    chapter: ClassVar[Chapter]
    """Where in the book entities of this kind stand, and what is true of all that do."""
    name: Name
    description: str = ""
    owners: Many[Owner] = ()
    tags: dict[str, str] = {}  # noqa: RUF012  # Pydantic copies it for each entity.
    docs: str | None = None
    after: Many[Ref] = ()

    @property
    def ref(self) -> str:
        """Return the reference of the entity: ``raw.flights``."""
        return self.chapter.ref(self.name)

    def semantic_fields(self) -> dict[str, Any]:
        """Return what decides the entity's own result, as JSON values: presentation, order and policies left out."""
        found = self.model_dump(mode="json", exclude={*PRESENTATION, "after", *self.policy_fields})
        unused = {name for name in self.later_fields if getattr(self, name) == _default(self, name)}
        return {name: value for name, value in found.items() if name not in unused}

    @property
    def later_fields(self) -> frozenset[str]:
        """Return fields that earlier releases did not have: a book that does not use them means what it meant."""
        return frozenset()

    @property
    def policy_fields(self) -> frozenset[str]:
        """Return the fields that decide when something is done with the entity, not what it is."""
        return frozenset()

    @property
    def told(self) -> str:
        """Return what the fields of a sound entity say of it, in one line, for those whom its book tells nothing."""
        return ""

    @property
    def book_query(self) -> str | None:
        """Return the SQL query whose result the entity is, if it is one."""
        return None

    @property
    def derived(self) -> Mapping[str, str]:
        """Return the columns that are added to the rows as they are read, each an expression over those above it."""
        return {}

    @property
    def computed(self) -> Mapping[str, Any] | None:
        """Return what the book computes of the columns, as JSON values; None of what features are not made from."""
        return None

    @property
    def is_table(self) -> bool:
        """Tell whether SQL can read what is made of the entity."""
        return True

    @property
    def made_of_tables(self) -> bool:
        """Tell whether it takes tables alone to make it: then the loop makes what is missing of it."""
        return False

    @property
    def shows(self) -> bool:
        """Tell whether the entity shows what is stored as it is: then no new row makes it stale."""
        return False

    @property
    def asset_kinds(self) -> tuple[str, ...]:
        """Return the kinds by which Dagster shows the entity's asset, where they differ from those of its chapter."""
        return ()

    def kinds_in(self, book: Neighbours) -> tuple[str, ...]:
        """Return the kinds by which Dagster shows the entity's asset.

        Raises:
            KeyError: if the entity names a model that is not there.
        """
        del book
        return self.asset_kinds or self.chapter.kinds

    def aggregates_at(self, path: Path) -> bool:
        """Tell whether the expression at a path sees many rows at once."""
        del path
        return False

    def expressions(self) -> Iterator[tuple[Path, str]]:
        """Yield every SQL expression of the entity with its path."""
        yield from ()

    def faults(self) -> Iterator[Fault]:
        """Yield what is wrong with the entity by itself, where types cannot tell."""
        yield from ()

    def references(self) -> Iterator[Reference]:
        """Yield every reference that the entity makes, in book order; of SQL that does not parse none."""
        yield from whole(self, "after", ASSETS)

    def reads(self, book: Neighbours) -> dict[str, tuple[Reach, ...]]:
        """Return the references that the entity's result is computed from, as if all had its partitions.

        Raises:
            KeyError: if the entity names a model or a feature set that is not there.
        """
        del book
        return {}

    def upstream(self, book: Neighbours) -> Iterator[str]:
        """Yield the references that the entity comes behind in any case, ``after`` aside.

        Raises:
            KeyError: as ``reads`` does.
        """
        yield from self.reads(book)

    def partition_parent(self, book: Neighbours) -> str | None:
        """Return the reference whose partitions the entity has; None for a source, and for what has none."""
        del book
        return None

    @property
    def carried(self) -> tuple[str, ...]:
        """Return the columns of the described rows that come along, beside their identity."""
        return ()

    def own_columns(self, book: Neighbours) -> tuple[str, ...]:
        """Return the columns that the entity adds to the rows that it describes.

        Raises:
            KeyError: as ``reads`` does.
        """
        del book
        return ()

    def breaks(self, old: "Entity") -> Iterator[str]:
        """Yield what of the change from ``old`` breaks readers, in words; columns and partitions aside."""
        del old
        yield from ()

    def described_rows(self, book: Neighbours) -> str | None:
        """Return the reference of the source or table whose rows, one for one, the entity's own are about.

        Raises:
            KeyError: as ``reads`` does.
        """
        del book
        return None


def _default(spec: Entity, field: str) -> Any:
    return type(spec).model_fields[field].get_default(call_default_factory=True)

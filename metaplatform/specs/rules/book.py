"""What the rules look at: what can be read of a book, what it defines, and where each value stands."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from metaplatform.errors import Issue, Location
from metaplatform.naming import ref_name, ref_prefix
from metaplatform.specs.book.columns import KnownColumns
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Looks, real_columns
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.ingestion import TimedTable
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.fields.references import Path
from metaplatform.specs.structure import Part
from metaplatform.text.nearest import nearest_name

_MOST_COMPARISONS = 200_000
_MOST_PLACES = 200


class Places(Protocol):
    """Where the values of entities stand; a book that is not text has none."""

    def of(
        self, ref: str, path: Path = (), *, key: bool = False, sql: tuple[int, int] | None = None
    ) -> Location | None:
        """Return the place of an entity's value, or of its ``key``, or of ``sql``'s line and column within it."""


class NoPlaces:
    """Places of a book that is not text."""

    def of(
        self,
        ref: str,  # noqa: ARG002
        path: Path = (),  # noqa: ARG002
        *,
        key: bool = False,  # noqa: ARG002
        sql: tuple[int, int] | None = None,  # noqa: ARG002
    ) -> Location | None:
        """Return None."""
        return None


@dataclass(frozen=True)
class Book:
    """A manifest of entities, with what rules need to judge them.

    ``manifest.locations`` holds every name defined, broken entities too: what refers to a broken entity
    is not at fault itself. ``looks`` is what the sources' files were found to hold, if they were looked at.
    ``parts`` are what the manifest has of broken entities. ``whole`` is false where the book names more than these.
    """

    manifest: Manifest
    places: Places
    looks: Looks = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)
    whole: bool = True

    @cached_property
    def defined(self) -> frozenset[str]:
        """Return every reference the book defines."""
        return frozenset(self.manifest.locations) | frozenset(self.manifest.entities)

    def known(self, prefixes: Iterable[str]) -> list[str]:
        """Return the references defined below any of ``prefixes``."""
        wanted = set(prefixes)
        return [ref for ref in self.defined if ref_prefix(ref) in wanted]

    def nearest(self, ref: str, prefixes: Iterable[str]) -> str | None:
        """Return the reference below ``prefixes`` whose name is closest to ``ref``'s, preferably of its prefix."""
        prefix, _, name = ref.rpartition(".")
        by_name = self._names_of(frozenset(prefixes))
        # Each comparison is cheap; a large book whose every reference is broken asks for millions.
        self._compared.append(len(by_name))
        near = nearest_name(name, by_name) if sum(self._compared) <= _MOST_COMPARISONS else None
        found = by_name.get(near or "", ())
        return next((other for other in found if other.startswith(f"{prefix}.")), found[0] if found else None)

    def _names_of(self, prefixes: frozenset[str]) -> dict[str, tuple[str, ...]]:
        """Return the references defined below ``prefixes`` by their bare names."""
        if prefixes not in self._names:
            by_name: dict[str, tuple[str, ...]] = {}
            for ref in sorted(self.known(prefixes)):
                bare = ref_name(ref)
                by_name[bare] = (*by_name.get(bare, ()), ref)
            self._names[prefixes] = by_name
        return self._names[prefixes]

    @cached_property
    def _names(self) -> dict[frozenset[str], dict[str, tuple[str, ...]]]:
        return {}

    @cached_property
    def _told(self) -> dict[str, int]:
        """Return how many issues each entity has so far."""
        return {}

    @cached_property
    def _compared(self) -> list[int]:
        """Return how many names each search for the nearest one has compared so far."""
        return []

    @cached_property
    def columns(self) -> KnownColumns:
        """Return the columns of the book's tables, and the kinds of their values."""
        return KnownColumns(self.manifest, real_columns(self.looks))

    def timed(self, ref: str) -> TimedTable | None:
        """Return the source or SQL table behind ``ref``, or None if it is broken, undefined or something else."""
        return self.manifest.timed_at(ref)

    def timed_tables(self) -> Iterator[tuple[str, TimedTable]]:
        """Yield every source and SQL table with its reference."""
        for ref, _ in self.entities():
            if (table := self.timed(ref)) is not None:
                yield ref, table

    def feature_set(self, model: ModelSpec | None) -> FeatureSetSpec | None:
        """Return the model's feature set, or None if there is none that is well formed."""
        return self.manifest.feature_sets.get(model.feature_set) if model else None

    def spine(self, model: ModelSpec | None) -> TimedTable | None:
        """Return the spine of the model's feature set, or None."""
        feature_set = self.feature_set(model)
        return self.timed(feature_set.spine) if feature_set else None

    def model_of(self, prediction: str) -> ModelSpec | None:
        """Return the model behind a prediction's name, or None."""
        found = self.manifest.predictions.get(prediction)
        return self.manifest.models.get(found.model) if found else None

    def entities(self) -> Iterator[tuple[str, Entity]]:
        """Yield every entity with its reference."""
        yield from self.manifest.entities.items()

    def issue(  # noqa: PLR0913 — the parts of an issue
        self,
        rule: str,
        ref: str,
        path: Path,
        *,
        culprit: str,
        message: str,
        fix: str,
        nearest: str | None = None,
        at_key: bool = False,
        sql: tuple[int, int] | None = None,
        severity: Literal["error", "warning"] = "error",
    ) -> Issue:
        """Return an issue of entity ``ref`` at the value of ``path``."""
        told = self._told[ref] = self._told.get(ref, 0) + 1
        path = self._as_written(ref, path)
        # To find a place takes a walk: of an entity with faults without end, the rest is told at its name.
        exact = self.places.of(ref, path, key=at_key, sql=sql) if told <= _MOST_PLACES else None
        location = exact or self.manifest.locations.get(ref)
        return Issue(rule, ref, culprit, message, fix, location, nearest, severity)

    def _as_written(self, ref: str, path: Path) -> Path:
        """Return a path with the places that items of lists have in the book: the unknown ones come last in a part."""
        order = self.parts[ref].order if ref in self.parts else {}
        found: Path = ()
        for part in path:
            places = order.get(found)
            found = (*found, places[part] if places is not None and isinstance(part, int) else part)
        return found


Rule = Callable[[Book], Iterable[Issue]]
"""A rule looks at the whole book and returns what is wrong, as values."""

"""A book with broken entities in it, seen one entity at a time: what cannot be said of one is said of the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from metaplatform.chapters import CHAPTERS, Chapter
from metaplatform.naming import ref_name
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.structure import Part


@dataclass
class Focus:
    """The entity that rules go through; through all where it is None."""

    ref: str | None = None


@dataclass(frozen=True)
class FocusedManifest(Manifest):
    """A manifest that can be asked for every entity, and names only that in focus.

    ``parts`` are what can be read of broken entities. One whose kind is guessed is there for itself alone.
    """

    focus: Focus = field(default_factory=Focus, compare=False)
    parts: Mapping[str, Part] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, manifest: Manifest, parts: Mapping[str, Part]) -> "FocusedManifest":
        """Return the manifest with parts of broken entities among its own."""
        focus = Focus()
        given: dict[str, Any] = {each.name: getattr(manifest, each.name) for each in fields(manifest)}
        for name, chapter in CHAPTERS.items():
            broken = {ref_name(ref): part.entity for ref, part in parts.items() if chapter.holds(ref)}
            given[name] = _Seen({**given[name], **broken}, chapter.ref(""), focus, parts)
        return cls(**given, focus=focus, parts=parts)

    @cached_property
    def entities(self) -> Mapping[str, Entity]:
        """Return every entity by reference, in the order of the road."""
        known = {chapter.ref(name): one for chapter in CHAPTERS.values() for name, one in self._all(chapter)}
        return _Seen(known, "", self.focus, self.parts)

    def _all(self, chapter: Chapter) -> Iterator[tuple[str, Entity]]:
        seen: _Seen = getattr(self, chapter.name)
        yield from seen.known.items()


@dataclass(frozen=True)
class _Seen(Mapping[str, Entity]):
    """Entities by name, without their ``prefix``."""

    known: Mapping[str, Entity]
    prefix: str
    focus: Focus
    parts: Mapping[str, Part]

    def __getitem__(self, name: str) -> Entity:
        """Return an entity that is in focus, or whose kind is clear."""
        ref = self.prefix + name
        part = self.parts.get(ref)
        if part is not None and part.guessed and self.focus.ref not in {None, ref}:
            raise KeyError(name)
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the name of what is in focus."""
        ref = self.focus.ref
        if ref is None:
            return iter(self.known)
        name = ref.removeprefix(self.prefix)
        return iter((name,) if ref.startswith(self.prefix) and name in self.known else ())

    def __len__(self) -> int:
        """Return how many are in focus."""
        return sum(1 for _ in self)

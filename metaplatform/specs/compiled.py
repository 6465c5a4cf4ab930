"""A sound book, compiled: JSON from which the same manifest comes back without rules, parsing and hashing."""

from collections.abc import Iterator, Mapping
from typing import Any

from metaplatform.errors import Location
from metaplatform.naming import stable_id
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.fields.chapters import CHAPTERS
from metaplatform.specs.snapshots import snapshot_of
from metaplatform.specs.structure import build_entity


class AskedVariables(Mapping[str, str]):
    """Variables that remember which of them were asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Take the variables; none is asked for yet."""
        self._variables = variables
        self._asked: set[str] = set()

    @property
    def digests(self) -> dict[str, str]:
        """Return a digest of the value, or of its absence, of every variable asked for."""
        return {name: _digest(name, self._variables) for name in sorted(self._asked)}

    def __getitem__(self, name: str) -> str:
        """Return the value of a variable."""
        self._asked.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        """Yield every name."""
        return iter(self._variables)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._variables)


def compiled_book(manifest: Manifest, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return a sound book as JSON values; ``variables`` are digests of those that its parameters were read from."""
    return {
        "variables": dict(variables),
        "book": snapshot_of(manifest),
        "hashes": {ref: manifest.spec_hash(ref) for ref in manifest.entities},
        "locations": {ref: [at.file, at.line, at.column] for ref, at in manifest.locations.items()},
    }


def manifest_of_compiled(compiled: Mapping[str, Any], *, root: str, variables: Mapping[str, str]) -> Manifest | None:
    """Return the manifest of a compiled book; None if ``variables`` are no longer those that it was compiled with.

    ``root`` is the folder that relative source paths start from.

    Raises:
        KeyError: if this is not a compiled book.
        TypeError: if this is not a compiled book.
        ValueError: if it holds what is not an entity.
    """
    if any(_digest(name, variables) != digest for name, digest in compiled["variables"].items()):
        return None
    chapters: dict[str, Any] = {chapter: {} for chapter in CHAPTERS}
    for chapter, bodies in compiled["book"].items():
        chapters[chapter] = {name: _entity(chapter, name, body) for name, body in bodies.items()}
    locations = {ref: Location(*place) for ref, place in compiled["locations"].items()}
    return Manifest(root=root, locations=locations, known_hashes=compiled["hashes"], **chapters)


def _entity(chapter: str, name: str, body: dict[str, Any]) -> Entity:
    entity, faults = build_entity(chapter, name, body)
    if entity is None:
        raise ValueError(f"{chapter}/{name}: {faults[0].message}")
    return entity


def _digest(name: str, variables: Mapping[str, str]) -> str:
    # An empty variable counts as unset.
    return stable_id(name, variables.get(name, ""))

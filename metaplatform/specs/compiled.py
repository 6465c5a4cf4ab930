"""A sound book, compiled: JSON from which the same manifest comes back without rules, parsing and hashing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from metaplatform.chapters import CHAPTERS
from metaplatform.errors import Issue, Location
from metaplatform.naming import stable_id
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.snapshots import Snapshot, read_snapshot, snapshot_of
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


@dataclass(frozen=True)
class CompiledBook:
    """A book that was found sound, as JSON values: its fields are those of the file that it is kept in.

    ``book`` is what it means, ``hashes`` the hash of each entity and ``locations`` its file, line and column, by
    reference. ``variables`` are digests of those that its parameters were read from. ``checked_by`` tells the code
    that found it sound from others; empty if that is not known.
    """

    book: Snapshot
    hashes: Mapping[str, str] = field(default_factory=dict)
    locations: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    checked_by: str = ""

    @classmethod
    def of(cls, manifest: Manifest, variables: Mapping[str, str], *, checked_by: str) -> "CompiledBook":
        """Return a sound book, compiled; ``variables`` are digests."""
        hashes = {ref: manifest.spec_hash(ref) for ref in manifest.entities}
        locations = {ref: [at.file, at.line, at.column] for ref, at in manifest.locations.items()}
        return cls(snapshot_of(manifest), hashes, locations, dict(variables), checked_by)

    def fits(self, variables: Mapping[str, str]) -> bool:
        """Tell whether the variables are those that the book was compiled with."""
        return all(_digest(name, variables) == digest for name, digest in self.variables.items())

    def manifest(self, root: str, source_folders: Sequence[str] = ()) -> Manifest:
        """Return the manifest; ``root`` is the folder that relative source paths start from.

        ``source_folders`` are others that sources may read.

        Raises:
            ValueError: if this holds what is not an entity.
        """
        chapters: dict[str, Any] = {chapter: {} for chapter in CHAPTERS}
        for chapter, bodies in self.book.items():
            chapters[chapter] = {name: _entity(chapter, name, body) for name, body in bodies.items()}
        return Manifest(root, tuple(source_folders), locations=self._places, known_hashes=self.hashes, **chapters)

    def checked(
        self, root: str, source_folders: Sequence[str] = (), *, origin: str
    ) -> tuple[Manifest | None, tuple[Issue, ...]]:
        """Return the manifest, or None if the rules as they are now refuse it; and every issue.

        All but ``origin``, which stands for the book in issues, is as for :meth:`manifest`.
        """
        manifest, issues = read_snapshot(self.book, root=root, origin=origin, source_folders=source_folders)
        return (replace(manifest, locations=self._places) if manifest else None), issues

    @property
    def _places(self) -> dict[str, Location]:
        return {ref: Location(*place) for ref, place in self.locations.items()}


def _entity(chapter: str, name: str, body: dict[str, Any]) -> Entity:
    entity, faults = build_entity(chapter, name, body)
    if entity is None:
        raise ValueError(f"{chapter}/{name}: {faults[0].message}")
    return entity


def _digest(name: str, variables: Mapping[str, str]) -> str:
    # An empty variable counts as unset.
    return stable_id(name, variables.get(name, ""))

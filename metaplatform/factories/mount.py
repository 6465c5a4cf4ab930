"""How a book stands in a code location: its asset keys, and the names of all else that is made of it there."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg

from metaplatform.naming import asset_path, ref_of
from metaplatform.specs.entities.entity import Entity

_APART = "__"
_UNNAMED = "metaplatform"


@dataclass(frozen=True)
class BookEntry:
    """An entry of a book, as a translation of its asset sees it: its reference (``raw.flights``), and what it says."""

    ref: str
    entity: Entity


Translation = Callable[[dg.AssetSpec, BookEntry], dg.AssetSpec]
"""What a project makes of the asset spec of an entry."""


@dataclass(frozen=True)
class Mount:
    """A book's place in a code location, which others' assets, resources and sensors, and other books, may share.

    ``name`` is put before the names of its ops, jobs, sensors, schedules and resources; one that has none has the
    location to itself. ``keys`` are its assets' keys by reference, where they are not those of the location's only
    book. ``holder`` tells people who works at its storage root, and ``scope`` tells its runs from those of the same
    plan in another place of the same Dagster instance. ``translation`` is the project's word on each asset.
    """

    key_prefix: tuple[str, ...] = ()
    name: str = ""
    holder: str = ""
    scope: str = ""
    translation: Translation | None = None
    keys: Mapping[str, dg.AssetKey] = field(default_factory=dict)

    def key(self, ref: str) -> dg.AssetKey:
        """Return the asset key of a reference."""
        return self.keys.get(ref) or dg.AssetKey([*self.key_prefix, *asset_path(ref)])

    def path(self, ref: str) -> Sequence[str]:
        """Return the path of a reference's asset key."""
        return self.key(ref).path

    def ref(self, key: dg.AssetKey) -> str | None:
        """Return the reference of an asset key, None if the asset is another's."""
        return self._refs.get(key) if self.name else ref_of(key.path)

    def named(self, name: str) -> str:
        """Return what an op, job, sensor, schedule or resource of the book is called here."""
        return f"{self.name}{_APART}{name}" if self.name else name

    def is_named(self, name: str) -> bool:
        """Tell whether an op, job, sensor or schedule of this name is the book's."""
        # No mount's name holds what sets it apart.
        return not self.name or name.partition(_APART)[0] == self.name

    def plan(self, key: str) -> str:
        """Return what runs of a plan are known by on the Dagster instance."""
        return f"{self.scope}/{key}" if self.scope else key

    def all_named(self, *keys: str) -> set[str]:
        """Return what some of these, such as the resources that a step asks for, are called here."""
        return {self.named(key) for key in keys}

    def resource(self, context: Any, key: str) -> Any:
        """Return a resource of the book, of a run, a sensor or a schedule."""
        return getattr(context.resources, self.named(key))

    @cached_property
    def _refs(self) -> Mapping[dg.AssetKey, str]:
        return {key: ref for ref, key in self.keys.items()}


STANDALONE = Mount()
"""The place of a book that has its code location to itself."""


def mount_name(key_prefix: Sequence[str]) -> str:
    """Return the name of the mount whose assets' keys begin with ``key_prefix``: letters, digits, single ``_``."""
    return re.sub(r"[^A-Za-z0-9]+", "_", "_".join(key_prefix)).strip("_") or _UNNAMED

"""What differs between two snapshots, entity by entity and field by field; and their content hashes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from metaplatform.chapters import CHAPTERS
from metaplatform.specs.snapshots import Snapshot, entity_fields
from metaplatform.specs.structure import build_entity

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class FieldChange:
    """One value that differs; ``path`` is dotted (``training.rounds``), None stands for absent."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class EntityChange:
    """One entity that differs; ``before`` or ``after`` is None where it is not there."""

    ref: str
    kind: Literal["added", "changed", "removed"]
    before: Fields | None
    after: Fields | None

    @property
    def fields(self) -> tuple[FieldChange, ...]:
        """Return the values that differ, in the order of the entity's fields."""
        return tuple(_field_changes("", self.before or {}, self.after or {}))


def canonical_snapshot(snapshot: Snapshot) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the snapshot with each sound entity as the book would write it; others stay as they are."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for chapter in (chapter for chapter in CHAPTERS if snapshot.get(chapter)):
        for name, body in snapshot[chapter].items():
            entity, _ = build_entity(chapter, name, dict(body))
            found.setdefault(chapter, {})[name] = dict(body) if entity is None else entity_fields(entity)
    return found


def content_hash(values: Any) -> str:
    """Return 16 hex digits of JSON values; the order of mappings counts, since order is part of a book."""
    text = json.dumps(values, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def by_reference(snapshot: Snapshot) -> dict[str, Fields]:
    """Return the entities of a snapshot by reference (``models.returns``)."""
    return {
        CHAPTERS[chapter].ref(name): body
        for chapter in CHAPTERS
        if chapter in snapshot
        for name, body in snapshot[chapter].items()
    }


def snapshot_changes(before: Snapshot, after: Snapshot) -> tuple[EntityChange, ...]:
    """Return what changes from ``before`` to ``after``, both canonical, by reference, in any order of entities."""
    old, new = by_reference(before), by_reference(after)
    changes: list[EntityChange] = []
    for ref in dict.fromkeys((*old, *new)):
        if ref not in old:
            changes.append(EntityChange(ref, "added", None, new[ref]))
        elif ref not in new:
            changes.append(EntityChange(ref, "removed", old[ref], None))
        elif content_hash(old[ref]) != content_hash(new[ref]):
            changes.append(EntityChange(ref, "changed", old[ref], new[ref]))
    return tuple(changes)


def _field_changes(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        if content_hash(before) != content_hash(after):
            yield FieldChange(path, before, after)
        return
    changes = [
        change
        for key in dict.fromkeys((*before, *after))
        for change in _field_changes(f"{path}.{key}" if path else str(key), before.get(key), after.get(key))
    ]
    if not changes and list(before) != list(after):
        yield FieldChange(path, list(before), list(after))
    yield from changes

"""A book as JSON values: what it means, without its files; the same book comes back from it."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from metaplatform.chapters import CHAPTERS
from metaplatform.errors import Issue
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Look
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.judging import judged
from metaplatform.specs.relational.places import TablePlaces, fault_in_rows
from metaplatform.specs.structure import ReadEntity, build_entity, read_entity

Snapshot = Mapping[str, Any]
"""Chapter → entity name → the entity's fields as JSON values, ``name`` and fields at their defaults left out."""


def entity_fields(entity: Entity) -> dict[str, Any]:
    """Return an entity's fields as JSON values, as a book would write them: no name, nothing at its default."""
    fields = entity.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    # A kind is a constant, and still what tells the variants of a chapter apart.
    kind = getattr(entity, "kind", None)
    return {"kind": kind, **fields} if kind is not None else fields


def snapshot_of(manifest: Manifest) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the book as JSON values; chapters without entities are left out."""
    chapters: dict[str, Mapping[str, Entity]] = {chapter: manifest.entries(each) for chapter, each in CHAPTERS.items()}
    return {
        chapter: {name: entity_fields(entity) for name, entity in entities.items()}
        for chapter, entities in chapters.items()
        if entities
    }


def read_snapshot(
    snapshot: Snapshot,
    *,
    root: str | PurePath,
    origin: str,
    source_folders: Sequence[str] = (),
    look: Look | None = None,
    whole: bool = True,
) -> tuple[Manifest | None, tuple[Issue, ...]]:
    """Return the manifest of a snapshot, or None if there are errors, and every issue, warnings too.

    ``root`` is the folder that relative source paths start from, ``source_folders`` are others that sources may read;
    ``origin`` stands for the database in errors and in locations. ``look`` says what the sources' files hold, so that
    they are held against the book too. ``whole`` is false where there is more in the book than in its snapshot.
    """
    issues: list[Issue] = []
    places = TablePlaces(origin)
    reads: dict[str, ReadEntity] = {}
    for chapter, bodies in snapshot.items():
        for name, body in bodies.items():
            ref = CHAPTERS[chapter].ref(name)
            reads[ref] = read_entity(chapter, name, dict(body))
            issues.extend(_issue(ref, fault_in_rows(chapter, fault), places) for fault in reads[ref].faults)
    locations = {ref: places.of(ref) for ref in reads}
    bare = Manifest(root=str(root), source_folders=tuple(source_folders), locations=locations)
    manifest, found = judged(bare, reads, places, look, whole=whole)
    issues.extend(found)
    ordered = tuple(sorted(issues, key=lambda issue: (issue.owner, issue.rule, issue.culprit)))
    return (None if any(issue.severity == "error" for issue in ordered) else manifest), ordered


def _issue(ref: str, fault: Fault, places: TablePlaces) -> Issue:
    place = places.of(ref, fault.path, key=fault.at_key)
    return Issue(fault.rule, ref, fault.culprit, fault.message, fault.fix, place, fault.nearest)


def past_manifest(snapshot: Snapshot) -> Manifest:
    """Return what of a snapshot still is an entity, unchecked: a book of the past may have been of another release."""
    chapters: dict[str, Any] = {
        chapter: {
            name: entity
            for name, body in snapshot.get(chapter, {}).items()
            if (entity := build_entity(chapter, name, dict(body))[0]) is not None
        }
        for chapter in CHAPTERS
    }
    return Manifest(root="", **chapters)

"""Entities read into a manifest, and the whole of it held against the rules."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metaplatform.chapters import CHAPTERS, chapter_of
from metaplatform.errors import Issue
from metaplatform.naming import ref_name
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Look
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.fields.base import PRESENTATION
from metaplatform.specs.rules import check_book
from metaplatform.specs.rules.book import Places
from metaplatform.specs.structure import Part, ReadEntity


def judged(
    bare: Manifest, reads: Mapping[str, ReadEntity], places: Places, look: Look | None, *, whole: bool = True
) -> tuple[Manifest, tuple[Issue, ...]]:
    """Return the manifest of the entities that are well formed, and what the rules find in all that can be read.

    ``bare`` is the manifest without entities. ``whole`` is false where there is more in the book than was read.
    """
    parts = {ref: read.part for ref, read in reads.items() if read.part is not None}
    sound = {ref: read.entity for ref, read in reads.items() if read.entity is not None}
    manifest = replace(bare, **_chapters(sound))
    readable = {ref: part.entity for ref, part in parts.items() if _can_be_looked_at(part)}
    looks = look(replace(bare, **_chapters({**sound, **readable}))) if look else None
    whole = whole and len(parts) + len(sound) == len(reads)
    return manifest, check_book(manifest, places, looks=looks, parts=parts, whole=whole)


def _can_be_looked_at(part: Part) -> bool:
    """Tell whether only such values are unknown as say nothing of what a source's files hold."""
    return part.unknown <= {*PRESENTATION, "after", *part.entity.policy_fields} and not part.guessed


def _chapters(entities: Mapping[str, Entity]) -> dict[str, Any]:
    """Return entities by chapter and name."""
    chapters: dict[str, dict[str, Entity]] = {chapter: {} for chapter in CHAPTERS}
    for ref, entity in entities.items():
        chapters[chapter_of(ref).name][ref_name(ref)] = entity
    return chapters

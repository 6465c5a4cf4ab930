"""The book from its folder: every fault of every file found, then one manifest or one error."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from metaplatform.errors import BookError, Issue, Location
from metaplatform.specs.base import Entity
from metaplatform.specs.book_files import Entry, read_entries
from metaplatform.specs.manifest import CHAPTERS, Manifest
from metaplatform.specs.rules import check_book
from metaplatform.specs.source_looks import Look
from metaplatform.specs.structure import Fault, build_entity
from metaplatform.specs.structure import Path as KeyPath
from metaplatform.specs.yaml_source import Node, place_in_text


def load_book(folder: Path) -> Manifest:
    """Return the manifest of the YAML files below ``folder``, whose parent is the project root.

    Raises:
        BookError: with every error of the book, in order of file and line.
    """
    manifest, issues = read_book(folder)
    if manifest is None:
        raise BookError(issues)
    return manifest


def read_book(folder: Path, *, look: Look | None = None) -> tuple[Manifest | None, tuple[Issue, ...]]:
    """Return the manifest, or None if there are errors, and every issue, warnings too, in file order.

    ``look`` says what the files of sources hold; without it no data is touched.
    """
    entries, file_issues = read_entries(folder)
    first, issues = _first_of_each_name(entries)
    issues.extend(file_issues)
    entities: dict[str, dict[str, Entity]] = {chapter: {} for chapter in CHAPTERS}
    for entry in first.values():
        entity, faults = _build(entry)
        issues.extend(_as_issue(entry, fault) for fault in faults)
        if entity is not None:
            entities[entry.chapter][entry.name] = entity
    locations = {ref: entry.location for ref, entry in first.items()}
    chapters: dict[str, Any] = dict(entities)
    manifest = Manifest(root=str(folder.resolve().parent), locations=locations, **chapters)
    looks = look(manifest.sources, manifest.root) if look else None
    issues.extend(check_book(manifest, YamlPlaces(first), looks=looks))
    ordered = tuple(sorted(issues, key=_file_order))
    return (None if any(issue.severity == "error" for issue in ordered) else manifest), ordered


class YamlPlaces:
    """Where the values of entities stand in their files."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        """Keep the entries by reference."""
        self._entries = entries

    def of(
        self, ref: str, path: KeyPath = (), *, key: bool = False, sql: tuple[int, int] | None = None
    ) -> Location | None:
        """Return the place of an entity's value, or of its ``key``, or of ``sql``'s line and column within it."""
        entry = self._entries.get(ref)
        if entry is None:
            return None
        node, key_node = _follow(entry, path)
        if sql is not None and node.kind == "scalar":
            return Location(entry.file, *place_in_text(node, entry.text, *sql))
        place = key_node if key or not path else node
        return Location(entry.file, place.line, place.column)


def _follow(entry: Entry, path: KeyPath) -> tuple[Node, Node]:
    """Return the value and the key at the end of a path, or where the path leaves the book."""
    node, key_node = entry.body, entry.key
    for part in path:
        child = node.get(part)
        if child is None:
            break
        key_node = node.key(part) or key_node
        node = child
    return node, key_node


def _first_of_each_name(entries: Iterable[Entry]) -> tuple[dict[str, Entry], list[Issue]]:
    """Return the first entry of each name, and an issue for every other: DuckDB compares names without case."""
    first: dict[str, Entry] = {}
    by_folded: dict[str, Entry] = {}
    issues: list[Issue] = []
    for entry in entries:
        known = by_folded.setdefault(entry.ref.casefold(), entry)
        if known is entry:
            first[entry.ref] = entry
            continue
        issues.append(
            Issue(
                rule="duplicate-name",
                owner=entry.ref,
                culprit=entry.name,
                message=f"'{entry.name}' is defined twice in `{entry.chapter}`, first at {known.location}",
                fix="rename one of the two",
                location=entry.location,
            )
        )
    return first, issues


def _build(entry: Entry) -> tuple[Entity | None, tuple[Fault, ...]]:
    if entry.body.kind == "mapping":
        return build_entity(entry.chapter, entry.name, entry.body.plain())
    if entry.body.kind == "scalar" and entry.body.value is None:
        return build_entity(entry.chapter, entry.name, {})
    fault = Fault("wrong-type", (), entry.name, f"'{entry.name}' is no mapping", "write its keys indented below it")
    return None, (fault,)


def _as_issue(entry: Entry, fault: Fault) -> Issue:
    return Issue(
        rule=fault.rule,
        owner=entry.ref,
        culprit=fault.culprit,
        message=fault.message,
        fix=fault.fix,
        location=YamlPlaces({entry.ref: entry}).of(entry.ref, fault.path, key=fault.at_key),
        nearest=fault.nearest,
    )


def _file_order(issue: Issue) -> tuple[Location, str, str]:
    return (issue.location or Location("", 0), issue.rule, issue.culprit)

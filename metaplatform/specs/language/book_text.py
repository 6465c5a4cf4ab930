"""The text of a book, its language worked off: every entity whole, with defaults, parameters and overlay in it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from metaplatform.errors import Issue
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.language.book_files import yaml_issue
from metaplatform.specs.language.declared import declared_parameters, unused_parameters
from metaplatform.specs.language.defaults import ChapterDefaults, checked_defaults, defaults_of
from metaplatform.specs.language.merging import merge_keys_of, with_merge_keys
from metaplatform.specs.language.overlays import mapping_of, overlaid
from metaplatform.specs.language.sections import Entry, Sections, first_of_each_name, sections_of
from metaplatform.specs.language.substitution import Substitution
from metaplatform.specs.language.versions import (
    FIRST_VERSION,
    NEWEST_VERSION,
    declares_version,
    is_later_key,
    needs_version,
    undeclared,
    version_of,
)
from metaplatform.specs.structure import CHAPTER_TYPES, ReadEntity, read_entity
from metaplatform.specs.yaml_source import Node, YamlError


@dataclass(frozen=True)
class BookText:
    """Every entity's entry by reference, and what is wrong with the text.

    ``poisoned`` are ids of values that hold a parameter without a value.
    """

    entries: Mapping[str, Entry]
    issues: Sequence[Issue]
    poisoned: frozenset[int] = frozenset()

    def read(self, entry: Entry) -> ReadEntity:
        """Return the entity of an entry, or what is wrong with it; of a parameter's fault, nothing is said again."""
        body = mapping_of(entry)
        if body.kind != "mapping":
            fix = "write its keys indented below it"
            fault = Fault("wrong-type", (), entry.name, f"'{entry.name}' is not a mapping", fix)
            return ReadEntity(None, (fault,))
        return read_entity(entry.chapter, entry.name, body.plain(self.poisoned))


def read_text(
    roots: Sequence[Node], overlay: Node | None, variables: Mapping[str, str], *, whole: bool = True
) -> BookText:
    """Return the entities of a book's documents, as its language has it, and what is wrong with them.

    ``overlay`` is the document of the environment. ``variables`` set parameters. ``whole`` is false where a
    file cannot be read: it may be the one that declares the version.
    """
    declared = declares_version(roots)
    version, version_issues = version_of(roots) if declared or whole else (NEWEST_VERSION, ())
    issues = list(version_issues)
    if version > NEWEST_VERSION:
        return BookText({}, issues)
    if version == FIRST_VERSION:
        later = list(_later_language(roots, overlay))
        issues.extend(later)
        if roots and not (declared or later):
            issues.append(undeclared(roots[0]))
        # Whoever writes the later language means it: what it gives is not missed on top.
        version = NEWEST_VERSION if later else version
    sections = sections_of(_merged(roots, issues))
    over = sections_of(_merged([overlay] if overlay else [], issues), has_version=False)
    issues.extend((*sections.issues, *over.issues))
    first, again = first_of_each_name(sections.entities)
    issues.extend(again)
    entries = {entry.ref: entry for entry in first}
    if version == FIRST_VERSION:
        return BookText(entries, issues)
    return _with_language(entries, sections, over, variables, issues)


def _with_language(
    entries: Mapping[str, Entry],
    sections: Sections,
    over: Sections,
    variables: Mapping[str, str],
    issues: list[Issue],
) -> BookText:
    """Return the entries with parameters, overlay and defaults worked in."""
    parameters, declared, found = declared_parameters(sections.parameters, over.parameters, variables)
    issues.extend(found)
    substitution = Substitution(parameters)
    bodies, found = defaults_of(sections.defaults, over.defaults)
    issues.extend(found)
    counted = Counter(entry.chapter for entry in entries.values())
    defaults, found = checked_defaults(bodies, counted, substitution)
    issues.extend(found)
    merged, found = overlaid(
        {ref: _substituted(entry, substitution) for ref, entry in entries.items()},
        [_substituted(entry, substitution) for entry in over.entities],
    )
    issues.extend(found)
    whole = {ref: _with_defaults(entry, defaults) for ref, entry in merged.items()}
    issues.extend((*substitution.issues, *unused_parameters(declared, substitution.used)))
    return BookText(whole, issues, frozenset(substitution.poisoned))


def _later_language(roots: Iterable[Node], overlay: Node | None) -> Iterator[Issue]:
    """Yield what a book of the first version cannot have."""
    for root in roots:
        yield from (needs_version(key, f"'{key.value}'") for key, _ in root.pairs if is_later_key(str(key.value)))
        yield from (needs_version(key, "`<<`") for key in merge_keys_of(root))
    if overlay is not None:
        yield needs_version(overlay, "an overlay", culprit=overlay.source.file)


def _merged(roots: Iterable[Node], issues: list[Issue]) -> Iterator[Node]:
    for root in roots:
        try:
            merged, found = with_merge_keys(root)
        except YamlError as error:
            issues.append(yaml_issue(error, root.source.file))
            continue
        issues.extend(found)
        yield merged


def _substituted(entry: Entry, substitution: Substitution) -> Entry:
    body = substitution.apply(entry.body, CHAPTER_TYPES[entry.chapter], entry.ref)
    return entry if body is entry.body else entry.with_body(body)


def _with_defaults(entry: Entry, defaults: Mapping[str, ChapterDefaults]) -> Entry:
    found = defaults.get(entry.chapter)
    body = mapping_of(entry)
    return entry if found is None or body.kind != "mapping" else entry.with_body(found.below(body))

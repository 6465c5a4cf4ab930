"""Top-level key ``defaults``: for each chapter a partial body that lies below each of its entities."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metaplatform.chapters import CHAPTERS
from metaplatform.errors import Issue
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.fields.references import Path
from metaplatform.specs.fields.spec_types import variants
from metaplatform.specs.language.merging import is_null, laid_over, with_pairs
from metaplatform.specs.language.places import follow, issue_of
from metaplatform.specs.language.sections import Entry
from metaplatform.specs.language.substitution import Substitution
from metaplatform.specs.structure import CHAPTER_TYPES, build_entity
from metaplatform.specs.yaml_source import MAX_NODES, Node
from metaplatform.text.nearest import nearest_name

_OWNER = "defaults"


@dataclass(frozen=True)
class ChapterDefaults:
    """The defaults of one chapter: ``body`` holds keys that some kind of the chapter knows."""

    chapter: str
    body: Node

    def below(self, body: Node) -> Node:
        """Return an entity's mapping with the defaults below it; what its kind does not know is left out."""
        kinds = variants(CHAPTER_TYPES[self.chapter])
        kind = body.get("kind") or self.body.get("kind")
        model = kinds.get(kind.value if kind else "")
        if model is None:
            return laid_over(self.body, body)
        known = [(name, value) for name, value in self.body.pairs if name.value in model.model_fields]
        return laid_over(with_pairs(self.body, known), body)


def defaults_of(entries: Iterable[Entry], over: Iterable[Entry] = ()) -> tuple[dict[str, Entry], list[Issue]]:
    """Return the defaults of each chapter, over all files, and what is wrong with how they are given.

    ``over`` are those of an overlay: they are laid over the others.
    """
    issues: list[Issue] = []
    over = list(over)
    below, above = _by_chapter(entries, issues), _by_chapter(over, issues)
    for entry in over:
        if is_null(entry.body):
            below.pop(entry.name, None)
    for chapter, entry in above.items():
        known = below.setdefault(chapter, entry)
        below[chapter] = known.with_body(laid_over(known.body, entry.body))
    return below, issues


def checked_defaults(
    entries: Mapping[str, Entry], entities: Mapping[str, int], substitution: Substitution
) -> tuple[dict[str, ChapterDefaults], list[Issue]]:
    """Return the defaults of each chapter, parameters replaced, and what is wrong with their keys and values.

    ``entities`` counts those of each chapter: defaults must not swell the book.
    """
    found: dict[str, ChapterDefaults] = {}
    issues: list[Issue] = []
    for chapter, written in entries.items():
        entry = written.with_body(substitution.apply(written.body, CHAPTER_TYPES[chapter], written.ref))
        body = entry.body
        if body.size * entities.get(chapter, 0) > MAX_NODES:
            message = f"these defaults make more than {MAX_NODES:,} values of the book"
            issues.append(_issue("book-too-large", chapter, body, chapter, message, "take some away"))
            continue
        faults = list(_faults(entry, substitution.poisoned))
        issues.extend(issue_of(entry, fault) for fault in faults)
        unknown = {fault.path[0] for fault in faults if fault.rule == "unknown-key" and len(fault.path) == 1}
        pairs = [(name, value) for name, value in body.pairs if name.value not in unknown]
        found[chapter] = ChapterDefaults(chapter, with_pairs(body, pairs))
    return found, issues


def _by_chapter(entries: Iterable[Entry], issues: list[Issue]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.name not in CHAPTERS:
            issues.append(_unknown_chapter(entry))
        elif entry.body.kind == "mapping":
            known = found.setdefault(entry.name, entry)
            if known is not entry:
                issues.extend(_conflicts(entry.name, known.body, entry.body))
                found[entry.name] = known.with_body(laid_over(known.body, entry.body))
        elif not is_null(entry.body):
            message = f"the defaults of `{entry.name}` are not a mapping"
            fix = "write keys of its entities indented below it"
            issues.append(_issue("wrong-type", entry.name, entry.key, entry.name, message, fix))
    return found


def _conflicts(chapter: str, first: Node, second: Node) -> Iterator[Issue]:
    """Yield values that two places give differently."""
    for name, value in second.pairs:
        known, key = first.get(name.value), first.key(name.value)
        if known is None or key is None:
            continue
        if known.kind == value.kind == "mapping":
            yield from _conflicts(chapter, known, value)
        elif known.plain() != value.plain() or type(known.value) is not type(value.value):
            message = f"the default of '{name.value}' is given twice, and differently at {key.location}"
            yield _issue("conflicting-default", chapter, name, str(name.value), message, "keep one of the two")


def _faults(entry: Entry, poisoned: set[int]) -> Iterator[Fault]:
    """Yield what is wrong with a partial body for every kind that may have it."""
    chapter = entry.name
    plain: dict[str, Any] = entry.body.plain()
    kinds = [plain["kind"]] if "kind" in plain else list(variants(CHAPTER_TYPES[chapter]))
    # The name is any valid one: only what is said of the body counts.
    found = [build_entity(chapter, "defaults", {**plain, **({"kind": kind} if kind else {})})[1] for kind in kinds]
    seen: set[tuple[Path, str]] = set()
    for fault in (fault for faults in found for fault in faults):
        if fault.rule == "missing-key" or (fault.path, fault.culprit) in seen:
            continue
        at_top = fault.rule == "unknown-key" and len(fault.path) == 1
        if at_top and not all(fault.path in {other.path for other in faults} for faults in found):
            continue
        node, _ = follow(entry, fault.path)
        # What a whole mapping lacks or contradicts may be put right by the entity.
        if (id(node) in poisoned and not fault.at_key) or (fault.rule == "invalid-value" and node.kind == "mapping"):
            continue
        seen.add((fault.path, fault.culprit))
        yield _with_all_keys(chapter, fault) if at_top else fault


def _with_all_keys(chapter: str, fault: Fault) -> Fault:
    """Return the fault of a key that no kind knows, with the nearest that some kind does."""
    models = variants(CHAPTER_TYPES[chapter]).values()
    keys = sorted({key for model in models for key in model.model_fields} - {"name"})
    near = nearest_name(fault.culprit, keys)
    fix = f"rename it to '{near}'" if near else f"remove it, or use one of: {', '.join(keys)}"
    return Fault(fault.rule, fault.path, fault.culprit, fault.message, fix, near, at_key=True)


def _unknown_chapter(entry: Entry) -> Issue:
    message, fix = f"unknown chapter '{entry.name}'", f"use one of: {', '.join(CHAPTERS)}"
    near = nearest_name(entry.name, CHAPTERS)
    return Issue("unknown-chapter", _OWNER, entry.name, message, fix, entry.location, near)


def _issue(rule: str, chapter: str, node: Node, culprit: str, message: str, fix: str) -> Issue:
    return Issue(rule, f"{_OWNER}.{chapter}", culprit, message, fix, node.location)

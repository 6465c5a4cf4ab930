"""What a book's files hold, by top-level key: entities, defaults, parameters."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from metaplatform.chapters import CHAPTERS
from metaplatform.errors import Issue, Location
from metaplatform.specs.language.versions import (
    DEFAULTS_KEY,
    IGNORED_PREFIX,
    PARAMETERS_KEY,
    VERSION_KEY,
)
from metaplatform.specs.yaml_source import Node
from metaplatform.text.nearest import nearest_name

_KEYS = (*CHAPTERS, PARAMETERS_KEY, DEFAULTS_KEY, VERSION_KEY)


@dataclass(frozen=True)
class Entry:
    """A named mapping below a top-level key: an entity, a parameter, or the defaults of a chapter.

    ``key`` and ``body`` keep their places.
    """

    chapter: str
    name: str
    key: Node
    body: Node

    @property
    def ref(self) -> str:
        """Return the reference the entry defines."""
        known = CHAPTERS.get(self.chapter)
        return known.ref(self.name) if known else f"{self.chapter}.{self.name}"

    @property
    def location(self) -> Location:
        """Return where the entry's key stands."""
        return self.key.location

    def with_body(self, body: Node) -> "Entry":
        """Return the entry with another body."""
        return replace(self, body=body)


@dataclass
class Sections:
    """The entries of some files, each kind in order of files, and what is wrong with the keys above them."""

    entities: list[Entry] = field(default_factory=list)
    parameters: list[Entry] = field(default_factory=list)
    defaults: list[Entry] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


def sections_of(roots: Iterable[Node], *, has_version: bool = True) -> Sections:
    """Return what documents hold; ``has_version`` is false where no ``spec_version`` may stand."""
    sections = Sections()
    for root in roots:
        for key, body in root.pairs:
            name = str(key.value)
            if name == VERSION_KEY and has_version:
                continue
            if name in _KEYS and name != VERSION_KEY:
                _take(sections, key, body)
            elif not name.startswith(IGNORED_PREFIX):
                sections.issues.append(_unknown_key(key, name))
    return sections


def first_of_each_name(entries: Iterable[Entry]) -> tuple[list[Entry], list[Issue]]:
    """Return the first entry of each name, and an issue for every other: DuckDB compares names without case."""
    first: dict[str, Entry] = {}
    issues: list[Issue] = []
    for entry in entries:
        known = first.setdefault(entry.ref.casefold(), entry)
        if known is not entry:
            message = f"'{entry.name}' is defined twice in `{entry.chapter}`, first at {known.location}"
            fix = "rename one of the two"
            issues.append(Issue("duplicate-name", entry.ref, entry.name, message, fix, entry.location))
    return list(first.values()), issues


def _take(sections: Sections, key: Node, body: Node) -> None:
    name = str(key.value)
    if body.kind == "mapping":
        entries = [Entry(name, str(inner.value), inner, value) for inner, value in body.pairs]
        kinds = {PARAMETERS_KEY: sections.parameters, DEFAULTS_KEY: sections.defaults}
        kinds.get(name, sections.entities).extend(entries)
    elif body.kind != "scalar" or body.value is not None:
        word = "chapter" if name in CHAPTERS else "key"
        fix = f"write it as `{name}:` with indented names below"
        message = f"{word} '{name}' is not a mapping of names"
        sections.issues.append(Issue("wrong-type", "book", name, message, fix, key.location))


def _unknown_key(key: Node, name: str) -> Issue:
    if name == VERSION_KEY:
        message = f"`{VERSION_KEY}` is declared in the book, not in an overlay"
        return Issue("unknown-chapter", "book", name, message, "remove it", key.location)
    return Issue(
        rule="unknown-chapter",
        owner="book",
        culprit=name,
        message=f"unknown chapter '{name}'",
        fix=f"use one of: {', '.join(_KEYS)}",
        location=key.location,
        nearest=nearest_name(name, _KEYS),
    )

"""The version of the book's language, declared once by ``spec_version``."""

from collections.abc import Iterable, Iterator

from metaplatform.errors import Issue
from metaplatform.specs.yaml_source import Node

FIRST_VERSION = 1
"""The language of a book that declares none: as metaplatform 0.1.0 read it."""
NEWEST_VERSION = 2
"""With parameters, defaults, overlays, merge keys and ``x-`` keys."""
VERSION_KEY = "spec_version"
PARAMETERS_KEY = "parameters"
DEFAULTS_KEY = "defaults"
IGNORED_PREFIX = "x-"
"""Top-level keys that start so are left alone: a place for anchors."""
UPGRADE = "run `metaplatform upgrade`"


def is_later_key(name: str) -> bool:
    """Tell whether a top-level key is part of the language only since version 2."""
    return name in {PARAMETERS_KEY, DEFAULTS_KEY} or name.startswith(IGNORED_PREFIX)


def declares_version(roots: Iterable[Node]) -> bool:
    """Tell whether any of a book's files declares a version, valid or not."""
    return any(root.key(VERSION_KEY) for root in roots)


def version_of(roots: Iterable[Node]) -> tuple[int, tuple[Issue, ...]]:
    """Return the version that a book's files declare, and what is wrong with how they do."""
    declared = [value for root in roots for key, value in root.pairs if key.value == VERSION_KEY]
    if not declared:
        return FIRST_VERSION, ()
    issues = tuple(_issues(declared))
    valid = [node.value for node in declared if _is_version(node)]
    return (max(valid) if valid else NEWEST_VERSION), issues


def undeclared(root: Node) -> Issue:
    """Return the warning of a book that declares no version, at its first document ``root``.

    Where the file that did is taken away, all else would be read as another language in silence.
    """
    return Issue(
        "no-version",
        "book",
        VERSION_KEY,
        f"no file declares `{VERSION_KEY}`: the book is read as version {FIRST_VERSION}, where `${{` is plain text",
        f"write `{VERSION_KEY}: {NEWEST_VERSION}` into a file of its own, or, if the book was written for "
        f"metaplatform 0.1.0, {UPGRADE}",
        root.location,
        severity="warning",
    )


def needs_version(node: Node, what: str, *, culprit: str = "") -> Issue:
    """Return the issue of a book whose version has no ``what`` yet."""
    return Issue(
        "needs-version",
        "book",
        culprit or str(node.value),
        f"{what} needs {VERSION_KEY}: {NEWEST_VERSION}",
        UPGRADE,
        node.location,
    )


def _issues(declared: list[Node]) -> Iterator[Issue]:
    first = declared[0]
    for node in declared:
        shown = node.text if node.kind == "scalar" else node.kind
        if not _is_version(node):
            message = f"'{shown}' is not a version of the language"
            yield _issue("wrong-type", node, message, f"write `{VERSION_KEY}: {NEWEST_VERSION}`")
        elif node.value > NEWEST_VERSION:
            message = f"the book has version {node.value}; this metaplatform reads up to {NEWEST_VERSION}"
            yield _issue("newer-version", node, message, "upgrade metaplatform")
        elif _is_version(first) and node.value != first.value:
            message = f"the book has version {node.value} here, and {first.value} at {first.location}"
            yield _issue("two-versions", node, message, f"declare `{VERSION_KEY}` in one file")


def _is_version(node: Node) -> bool:
    return type(node.value) is int and node.value >= FIRST_VERSION


def _issue(rule: str, node: Node, message: str, fix: str) -> Issue:
    return Issue(rule, "book", node.text or VERSION_KEY, message, fix, node.location)

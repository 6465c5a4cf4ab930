"""The files of a book: found below its folder, read as text, parsed into entries with their places."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metaplatform.errors import Issue, Location
from metaplatform.specs.manifest import CHAPTERS
from metaplatform.specs.nearest import nearest_name
from metaplatform.specs.yaml_source import Node, YamlError, read_yaml, repeated_keys

_SUFFIXES = {".yaml", ".yml"}
_MAX_BYTES = 5_000_000
_ENTITY_DEPTH = 2


@dataclass(frozen=True)
class Entry:
    """One entity as its file holds it: ``key`` and ``body`` keep their places in ``text``."""

    chapter: str
    name: str
    key: Node
    body: Node
    file: str
    text: str

    @property
    def ref(self) -> str:
        """Return the reference the entry defines."""
        return f"{CHAPTERS[self.chapter]}.{self.name}"

    @property
    def location(self) -> Location:
        """Return where the entry's key stands."""
        return Location(self.file, self.key.line, self.key.column)


def read_entries(folder: Path) -> tuple[tuple[Entry, ...], tuple[Issue, ...]]:
    """Return the entries of every YAML file below ``folder``, in order of file names, and what is wrong with files.

    Hidden files and folders are left alone. A link is followed to a file below ``folder`` only.
    """
    if not folder.is_dir():
        issue = _file_issue("no-book", str(folder), f"there is no folder '{folder}'", "name the folder of the book")
        return (), (issue,)
    entries: list[Entry] = []
    issues: list[Issue] = []
    paths, refused = _find_files(folder)
    issues.extend(refused)
    if not paths and not refused:
        issues.append(_file_issue("no-book", folder.name, "no YAML file in the book's folder", "add a `.yaml` file"))
    for path in paths:
        found = list(_read_file(path, path.relative_to(folder.parent).as_posix()))
        entries.extend(item for item in found if isinstance(item, Entry))
        issues.extend(item for item in found if isinstance(item, Issue))
    return tuple(entries), tuple(issues)


def _find_files(folder: Path) -> tuple[list[Path], list[Issue]]:
    found: list[Path] = []
    refused: list[Issue] = []
    inside = folder.resolve()
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in [*files, *(name for name in folders if Path(parent, name).is_symlink())]:
            path = Path(parent, name)
            linked_folder = path.is_symlink() and path.is_dir()
            if name.startswith(".") or not (linked_folder or path.suffix.lower() in _SUFFIXES):
                continue
            if linked_folder or not Path(os.path.realpath(path)).is_relative_to(inside):
                shown = path.relative_to(folder.parent).as_posix()
                refused.append(
                    _file_issue("link-not-followed", shown, "the link leaves the book", "put the file into the book")
                )
            else:
                found.append(path)
    return sorted(found), refused


def _read_file(path: Path, shown: str) -> Iterator[Entry | Issue]:
    text = _read_text(path, shown)
    if isinstance(text, Issue):
        yield text
        return
    try:
        root = read_yaml(text)
    except YamlError as error:
        at = Location(shown, error.line, error.column)
        yield _file_issue("yaml-syntax", shown, f"no YAML here: {error.message}", "mend the YAML", at)
        return
    if root is None or (root.kind == "scalar" and root.value is None):
        return
    if root.kind != "mapping":
        at = Location(shown, root.line, root.column)
        yield _file_issue("wrong-type", shown, "a file of the book holds chapters", "start with `sources:`", at)
        return
    yield from _duplicate_keys(root, shown)
    for chapter, body in root.pairs:
        yield from _read_chapter(chapter, body, shown, text)


def _read_text(path: Path, shown: str) -> str | Issue:
    try:
        if not path.is_file():
            return _file_issue("unreadable-file", shown, "this is no regular file", "remove it from the book")
        if path.stat().st_size > _MAX_BYTES:
            return _file_issue("file-too-large", shown, f"the file exceeds {_MAX_BYTES:,} bytes", "split it")
        data = path.read_bytes()
    except OSError as error:
        return _file_issue("unreadable-file", shown, f"the file cannot be read: {error.strerror}", "let it be read")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        at = Location(shown, data.count(b"\n", 0, error.start) + 1)
        return _file_issue("not-utf8", shown, "the file is no UTF-8 text", "save it as UTF-8", at)


def _read_chapter(chapter: Node, body: Node, shown: str, text: str) -> Iterator[Entry | Issue]:
    at = Location(shown, chapter.line, chapter.column)
    name = str(chapter.value)
    if name not in CHAPTERS:
        yield Issue(
            rule="unknown-chapter",
            owner="book",
            culprit=name,
            message=f"unknown chapter '{name}'",
            fix=f"use one of: {', '.join(CHAPTERS)}",
            location=at,
            nearest=nearest_name(name, CHAPTERS),
        )
    elif body.kind == "mapping":
        for key, value in body.pairs:
            yield Entry(name, str(key.value), key, value, shown, text)
    elif body.kind != "scalar" or body.value is not None:
        fix = f"write it as `{name}:` with indented names below"
        message = f"chapter '{name}' is no mapping of names"
        yield Issue("wrong-type", "book", name, message, fix, at)


def _duplicate_keys(root: Node, shown: str) -> Iterator[Issue]:
    """Yield keys given twice; chapters may repeat, and entities are compared across files elsewhere."""
    for path, key, first in repeated_keys(root):
        if len(path) < _ENTITY_DEPTH:
            continue
        owner = f"{CHAPTERS[path[0]]}.{path[1]}" if path[0] in CHAPTERS else "book"
        yield Issue(
            rule="duplicate-key",
            owner=owner,
            culprit=str(key.value),
            message=f"key '{key.value}' is given twice, first in line {first.line}",
            fix="keep one of the two",
            location=Location(shown, key.line, key.column),
        )


def _file_issue(rule: str, shown: str, message: str, fix: str, at: Location | None = None) -> Issue:
    return Issue(rule=rule, owner="book", culprit=shown, message=message, fix=fix, location=at or Location(shown, 1))

"""The files of a book: found below its folder, read as text, and then parsed into values with their places."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from metaplatform.chapters import CHAPTERS
from metaplatform.errors import Issue, Location
from metaplatform.specs.language.versions import DEFAULTS_KEY, IGNORED_PREFIX, PARAMETERS_KEY
from metaplatform.specs.yaml_source import Node, YamlError, read_yaml, repeated_keys

_SUFFIXES = {".yaml", ".yml"}
_MAX_BYTES = 5_000_000
_ENTRY_DEPTH = 2
_OWNERS = {
    **{name: chapter.prefix for name, chapter in CHAPTERS.items()},
    PARAMETERS_KEY: PARAMETERS_KEY,
    DEFAULTS_KEY: DEFAULTS_KEY,
}


@dataclass(frozen=True)
class BookFiles:
    """The texts of files by the names that errors call them, in order, and what is wrong with files."""

    texts: Mapping[str, str]
    issues: tuple[Issue, ...] = ()

    def parsed(self) -> tuple[tuple[Node, ...], tuple[Issue, ...]]:
        """Return the mapping of every file that holds one, and what is wrong with files and their YAML."""
        roots: list[Node] = []
        issues = list(self.issues)
        for shown, text in self.texts.items():
            root, found = _parse(text, shown)
            roots.extend([root] if root else [])
            issues.extend(found)
        return tuple(roots), tuple(issues)


def read_files(folder: Path) -> BookFiles:
    """Return every YAML file below ``folder``, in order of file names.

    Hidden files and folders are left alone. A link is followed to a file below ``folder`` only.
    """
    if not folder.is_dir():
        issue = _file_issue("no-book", str(folder), f"there is no folder '{folder}'", "name the folder of the book")
        return BookFiles({}, (issue,))
    paths, issues = _find_files(folder)
    if not paths and not issues:
        issues.append(_file_issue("no-book", folder.name, "no YAML file in the book's folder", "add a `.yaml` file"))
    read = [read_file(path, path.relative_to(folder.parent).as_posix()) for path in paths]
    texts = {shown: text for each in read for shown, text in each.texts.items()}
    return BookFiles(texts, (*issues, *(issue for each in read for issue in each.issues)))


def book_paths(folder: Path) -> tuple[Path, ...]:
    """Return the files that ``read_files`` reads, in its order."""
    return tuple(_find_files(folder)[0])


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


def read_file(path: Path, shown: str) -> BookFiles:
    """Return one file, or what is wrong with it; ``shown`` is what errors call it."""
    text = _read_text(path, shown)
    return BookFiles({}, (text,)) if isinstance(text, Issue) else BookFiles({shown: text})


def _parse(text: str, shown: str) -> tuple[Node | None, tuple[Issue, ...]]:
    try:
        root = read_yaml(text, shown)
    except YamlError as error:
        return None, (yaml_issue(error, shown),)
    if root is None or (root.kind == "scalar" and root.value is None):
        return None, ()
    if root.kind != "mapping":
        message = "a file of the book holds chapters"
        return None, (_file_issue("wrong-type", shown, message, "start with `sources:`", root.location),)
    return root, tuple(_duplicate_keys(root))


def yaml_issue(error: YamlError, shown: str) -> Issue:
    """Return the issue of a text that is not YAML, or more than a file may hold."""
    at = Location(shown, error.line, error.column)
    return _file_issue("yaml-syntax", shown, f"this is not valid YAML: {error.message}", "correct the YAML", at)


def _read_text(path: Path, shown: str) -> str | Issue:
    try:
        if not path.is_file():
            return _file_issue("unreadable-file", shown, "this is not a regular file", "remove it from the book")
        if path.stat().st_size > _MAX_BYTES:
            return _file_issue("file-too-large", shown, f"the file exceeds {_MAX_BYTES:,} bytes", "split it")
        data = path.read_bytes()
    except OSError as error:
        return _file_issue("unreadable-file", shown, f"the file cannot be read: {error.strerror}", "make it readable")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        at = Location(shown, data.count(b"\n", 0, error.start) + 1)
        return _file_issue("not-utf8", shown, "the file is not UTF-8 text", "save it as UTF-8", at)


def _duplicate_keys(root: Node) -> Iterator[Issue]:
    """Yield keys given twice; chapters may repeat, and what they hold is compared across files elsewhere."""
    for path, key, first in repeated_keys(root):
        section = str(path[0]) if path else ""
        if len(path) < _ENTRY_DEPTH and not section.startswith(IGNORED_PREFIX):
            continue
        owner = f"{_OWNERS[section]}.{path[1]}" if section in _OWNERS else "book"
        yield Issue(
            rule="duplicate-key",
            owner=owner,
            culprit=str(key.value),
            message=f"key '{key.value}' is given twice, first in line {first.line}",
            fix="keep one of the two",
            location=key.location,
        )


def _file_issue(rule: str, shown: str, message: str, fix: str, at: Location | None = None) -> Issue:
    return Issue(rule=rule, owner="book", culprit=shown, message=message, fix=fix, location=at or Location(shown, 1))

"""Paths of sources: patterns that can name files, within the folder that they start from."""

import posixpath
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import PurePosixPath

from metaplatform.chapters import SOURCES
from metaplatform.errors import Issue
from metaplatform.specs.entities.file_kinds import kind_of_file
from metaplatform.specs.entities.ingestion import FileSource
from metaplatform.specs.fields.addresses import holds_credentials, is_url, shown_path
from metaplatform.specs.rules.book import Book
from metaplatform.specs.unknown import readable

_MOST_STARS = 2
_ALLOW = "move the files below the project's folder, or let the deployment allow theirs in METAPLATFORM_SOURCE_FOLDERS"


def impossible_paths(book: Book) -> Iterator[Issue]:
    """Yield paths that lead out of their folder or are not a pattern, and packages whose name is not valid.

    An absolute path must lead below the project's folder, or one that the deployment allows: who edits a row of the
    book does not say what the machine gives away.
    """
    folders = [PurePosixPath(folder) for folder in (book.manifest.root, *book.manifest.source_folders)]
    for name, source in _file_sources(book):
        yield from readable(_impossible_path(book, name, source, folders))
        if source.package is not None and not source.package.isidentifier():
            # To find a package within another, Python would run the other.
            message, fix = (
                f"'{source.package}' is not a package name",
                "name the package, and put folders into `path`",
            )
            culprit = source.package[:80]
            yield book.issue(
                "invalid-value", SOURCES.ref(name), ("package",), culprit=culprit, message=message, fix=fix
            )


def _file_sources(book: Book) -> Iterator[tuple[str, FileSource]]:
    yield from ((name, source) for name, source in book.manifest.sources.items() if isinstance(source, FileSource))


def _impossible_path(book: Book, name: str, source: FileSource, folders: Sequence[PurePosixPath]) -> Iterator[Issue]:
    fault = _path_fault(source, folders)
    if fault is not None:
        message, fix = fault
        culprit = shown_path(source.path)
        yield book.issue("invalid-path", SOURCES.ref(name), ("path",), culprit=culprit, message=message, fix=fix)


def paths_of_another_kind(book: Book) -> Iterator[Issue]:
    """Warn of sources whose files, by their ending, are of another kind."""
    for name, source in _file_sources(book):
        kind = source.kind
        other = kind_of_file(source.path) or kind
        if other != kind:
            yield book.issue(
                "other-kind",
                SOURCES.ref(name),
                ("kind",),
                culprit=kind,
                message=f"the files of '{shown_path(source.path)}' end like {other} files, and are read as {kind}",
                fix=f"write `kind: {other}`, or name the files for what they are",
                severity="warning",
            )


def _path_fault(source: FileSource, folders: Sequence[PurePosixPath]) -> tuple[str, str] | None:
    faults = chain(_secret_faults(source.path), _path_faults(source, PurePosixPath(source.path), folders))
    return next(faults, None)


def _secret_faults(path: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with addresses; what they say may be a secret, and is not told."""
    if holds_credentials(path):
        yield "path: it holds a password or a key", "take it out, change it where it was valid, and name files"
    if is_url(path):
        yield (
            f"path: '{shown_path(path)}' is an address; sources read files",
            "bring the files below the project's folder, for example by a job of its own",
        )


def _path_faults(
    source: FileSource, path: PurePosixPath, folders: Sequence[PurePosixPath]
) -> Iterator[tuple[str, str]]:
    if not source.path.isprintable():
        yield "path: it has a character that cannot be seen", "type it again"
    if not path.parts or path.parts == (path.anchor,):
        yield f"path: '{source.path}' names a folder, not files", "write a file, or a pattern such as `data/*.csv`"
    if any("**" in part and part != "**" for part in path.parts):
        yield "path: '**' stands for any folders, and must be alone between slashes", "write `data/**/*.csv`"
    if path.parts.count("**") > _MOST_STARS:
        yield f"path: '**' more than {_MOST_STARS} times finds each file many times over", "write it once"
    if path.is_absolute() and source.package is not None:
        yield "path: it starts from the package's folder", "write it without the first slash"
    if not path.is_absolute() and _leads_out(path):
        where = "package's folder" if source.package is not None else "project's folder"
        yield f"path: '{source.path}' leads out of the {where}", _ALLOW
    if path.is_absolute() and not any(_without_dots(path).is_relative_to(folder) for folder in folders):
        yield f"path: '{source.path}' leads out of the folders that sources may read", _ALLOW


def _without_dots(path: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(posixpath.normpath(path))


def _leads_out(path: PurePosixPath) -> bool:
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False

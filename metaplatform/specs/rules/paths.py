"""Paths of sources: patterns that can name files, within the folder that they start from."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from metaplatform.errors import Issue
from metaplatform.specs.ingestion import FileSource
from metaplatform.specs.rules.book import Book

_MOST_STARS = 2
_SUFFIXES = {
    "csv": (".csv", ".tsv", ".txt"),
    "parquet": (".parquet", ".pq"),
    "json": (".json", ".jsonl", ".ndjson"),
}


def impossible_paths(book: Book) -> Iterator[Issue]:
    """Yield paths that lead out of their folder or are no pattern, and packages that are no name of one.

    An absolute path is taken as it is: who writes the book says which files are read.
    """
    for name, source in book.manifest.sources.items():
        fault = _path_fault(source)
        if fault is not None:
            message, fix = fault
            culprit = source.path[:80]
            yield book.issue("invalid-path", f"raw.{name}", ("path",), culprit=culprit, message=message, fix=fix)
        if source.package is not None and not source.package.isidentifier():
            # To find a package within another, Python would run the other.
            message, fix = (
                f"'{source.package}' is no name of a package",
                "name the package, and put folders into `path`",
            )
            culprit = source.package[:80]
            yield book.issue("invalid-value", f"raw.{name}", ("package",), culprit=culprit, message=message, fix=fix)


def paths_of_another_kind(book: Book) -> Iterator[Issue]:
    """Warn of sources whose files, by their ending, are of another kind."""
    for name, source in book.manifest.sources.items():
        kind = str(getattr(source, "kind", ""))
        ending = PurePosixPath(source.path).suffix.lower()
        other = next((each for each, endings in _SUFFIXES.items() if ending in endings), kind)
        if other != kind:
            yield book.issue(
                "other-kind",
                f"raw.{name}",
                ("kind",),
                culprit=kind,
                message=f"the files of '{source.path}' end like {other} files, and are read as {kind}",
                fix=f"write `kind: {other}`, or name the files for what they are",
                severity="warning",
            )


def _path_fault(source: FileSource) -> tuple[str, str] | None:
    return next(_path_faults(source, PurePosixPath(source.path)), None)


def _path_faults(source: FileSource, path: PurePosixPath) -> Iterator[tuple[str, str]]:
    if not source.path.isprintable():
        yield "path: there is a character in it that cannot be seen", "write it anew"
    if not path.parts or path.parts == (path.anchor,):
        yield f"path: '{source.path}' names a folder, no files", "write a file, or a pattern such as `data/*.csv`"
    if any("**" in part and part != "**" for part in path.parts):
        yield "path: '**' stands for folders, alone between slashes", "write `data/**/*.csv`"
    if path.parts.count("**") > _MOST_STARS:
        yield f"path: '**' more than {_MOST_STARS} times finds each file many times over", "write it once"
    if path.is_absolute() and source.package is not None:
        yield "path: it starts from the package's folder", "write it without the first slash"
    if not path.is_absolute() and _leads_out(path):
        where = "package's folder" if source.package is not None else "project's folder"
        yield f"path: '{source.path}' leads out of the {where}", "move the files there, or write an absolute path"


def _leads_out(path: PurePosixPath) -> bool:
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False

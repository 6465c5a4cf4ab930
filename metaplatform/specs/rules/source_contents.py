"""Contents of sources: what their files were found to hold is what the book says of them."""

from collections.abc import Iterator
from typing import assert_never

from metaplatform.chapters import SOURCES
from metaplatform.errors import Issue
from metaplatform.specs.book.source_looks import Misfit, SourceLook
from metaplatform.specs.entities.ingestion import Source
from metaplatform.specs.fields.references import Path
from metaplatform.specs.rules.book import Book
from metaplatform.text.nearest import nearest_name
from metaplatform.text.plurals import counted

_MANY = 3
_LACKING_FIX = "name it as the files do, or take it out"
_SOMETIMES_LACKING_FIX = "name it as the files do, or write `contract: evolve`: a file may then lack it"


def unreadable_sources(book: Book) -> Iterator[Issue]:
    """Yield sources whose files are not there, or cannot be read."""
    for name, source in book.manifest.sources.items():
        look = book.looks.get(name)
        if look is not None and look.fault is not None:
            message, fix = look.fault
            path, shown = source.origin
            yield book.issue("unreadable-source", SOURCES.ref(name), path, culprit=shown, message=message, fix=fix)


def contents_unlike_the_book(book: Book) -> Iterator[Issue]:
    """Yield columns that files lack, have twice or have undeclared, and values that do not fit."""
    for name, source in book.manifest.sources.items():
        look = book.looks.get(name)
        if look is None or look.fault is not None:
            continue
        ref = SOURCES.ref(name)
        yield from _repeated_columns(book, ref, source, look)
        yield from _lacking_columns(book, ref, source, look)
        if source.columns and source.contract == "freeze":
            yield from _undeclared_columns(book, ref, source, look)
        for misfit in look.misfits:
            yield _misfit(book, ref, source, look, misfit)


def _repeated_columns(book: Book, ref: str, source: Source, look: SourceLook) -> Iterator[Issue]:
    twice: dict[str, list[str]] = {}
    for file, names in look.headers.items():
        folded = [name.casefold() for name in names]
        for name in dict.fromkeys(name for name in names if folded.count(name.casefold()) > 1):
            twice.setdefault(name, []).append(file)
    for name, files in twice.items():
        message = f"column '{name}' is there more than once, letter case aside, in {_shown(files)}"
        yield book.issue(
            "repeated-column", ref, source.origin[0], culprit=name, message=message, fix="rename one in the files"
        )


def _lacking_columns(book: Book, ref: str, source: Source, look: SourceLook) -> Iterator[Issue]:
    for name in source.columns:
        lacking = [file for file, names in look.headers.items() if name not in names]
        spared = source.contract == "evolve" and len(lacking) < len(look.headers)
        if lacking and not spared:
            found = {found for file in lacking for found in look.headers[file]} - set(source.columns)
            yield book.issue(
                "missing-column",
                ref,
                ("columns", name),
                culprit=name,
                message=f"there is no column '{name}' in {_shown(lacking)}",
                fix=_LACKING_FIX if len(lacking) == len(look.headers) else _SOMETIMES_LACKING_FIX,
                nearest=nearest_name(name, found),
                at_key=True,
            )


def _undeclared_columns(book: Book, ref: str, source: Source, look: SourceLook) -> Iterator[Issue]:
    new: dict[str, list[str]] = {}
    for file, names in look.headers.items():
        for name in names:
            if name not in source.columns:
                new.setdefault(name, []).append(file)
    for name, files in new.items():
        yield book.issue(
            "undeclared-column",
            ref,
            ("columns",),
            culprit=name,
            message=f"column '{name}' of {_shown(files)} is not declared, and 'contract' is 'freeze'",
            fix="declare it, or write `contract: evolve`, which adds new columns by itself",
            at_key=True,
        )


def _misfit(book: Book, ref: str, source: Source, look: SourceLook, misfit: Misfit) -> Issue:
    of = f"{misfit.rows:,} of the {counted(look.rows, 'row')} looked at"
    path: Path
    match misfit.kind:
        case "type":
            path, message = ("columns", misfit.column), f"{of} would go to quarantine: {misfit.example}"
            fix = "declare the type that the values have, or add what stands for nothing to `null_values`"
        case "derive":
            path, message = ("derive", misfit.column), f"{of} would go to quarantine: {misfit.example}"
            fix = "make the expression work for every row, for example with `try_cast` or `nullif`"
        case "null" if misfit.column == source.event_timestamp:
            path, message = ("event_timestamp",), f"{of} have no '{misfit.column}', and would go to quarantine"
            fix = "name a column that every row has"
        case "null":
            path, message = ("key",), f"{of} have no '{misfit.column}', and would go to quarantine"
            fix = "name columns that every row has"
        case "time":
            path, message = ("partitions",), f"{of} would go to quarantine: {misfit.example}"
            fix = "let the partitions start with the first rows, or leave those before out of the files"
        case "key":
            path, message = ("key",), f"{of} have the key of an earlier row, and would go to quarantine"
            fix = "name the columns that tell rows apart; if a newer row corrects an older one, what says so is one"
        case _:
            assert_never(misfit.kind)
    culprit = misfit.column
    return book.issue("misfit", ref, path, culprit=culprit, message=message, fix=fix, severity="warning")


def _shown(files: list[str]) -> str:
    rest = len(files) - _MANY
    return ", ".join(files[:_MANY]) + (f" and {rest} more" if rest > 0 else "")

"""`metaplatform upgrade`: a book of an earlier version in the newest one, all else as it was written."""

from pathlib import Path
from typing import Annotated

import typer

from metaplatform.cli.app import Book, app, deployment_of
from metaplatform.errors import BookError, Issue, MetaplatformError
from metaplatform.resources.files.file_writing import write_whole

_BOM = "\ufeff"


@app.command()
def upgrade(
    book: Book = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell what would change; exit code 1 if anything would.")
    ] = False,
) -> None:
    """Bring the book to the newest version of its language; comments, order and formatting are kept."""
    from metaplatform.specs.language.book_files import book_paths
    from metaplatform.specs.language.migrations import MigrationError, migrated
    from metaplatform.specs.language.versions import NEWEST_VERSION

    folder = deployment_of(book, None).book
    version = _sound_version(folder)
    files = {str(path): path.read_bytes().decode("utf-8") for path in book_paths(folder)}
    try:
        made = migrated({file: text.removeprefix(_BOM) for file, text in files.items()}, version)
    except MigrationError as error:
        raise MetaplatformError(
            owner=error.file, culprit=error.message, fix="correct the file, then upgrade"
        ) from error
    changed = {file: text for file, text in made.items() if text != files[file].removeprefix(_BOM)}
    for file, text in changed.items():
        shown = Path(file).relative_to(folder.parent).as_posix()
        typer.echo(f"{shown}: {'would be' if check else 'is'} brought to version {NEWEST_VERSION}")
        if not check:
            bom = _BOM if files[file].startswith(_BOM) else ""
            _write(Path(file), f"{bom}{text}".encode())
    if not changed:
        typer.echo(f"The book is at version {NEWEST_VERSION}.")
    raise typer.Exit(1 if check and changed else 0)


def _sound_version(folder: Path) -> int:
    """Return the version of a book whose files can be read.

    Raises:
        BookError: if a file is not valid YAML, or the version does not exist.
    """
    from metaplatform.specs.language.book_files import read_files
    from metaplatform.specs.language.versions import version_of

    roots, issues = read_files(folder).parsed()
    version, version_issues = version_of(roots)
    faults: tuple[Issue, ...] = (*issues, *version_issues)
    if faults:
        raise BookError(faults)
    return version


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise MetaplatformError(
            owner="upgrade", culprit=f"{path} cannot be written: {error.strerror}", fix="make it writable"
        ) from error

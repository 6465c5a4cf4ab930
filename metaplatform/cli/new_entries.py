"""`metaplatform new`: entries to start from, made from the data and the book they are about."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from metaplatform.chapters import SOURCES
from metaplatform.cli.app import Book, app, deployment_of

if TYPE_CHECKING:
    from metaplatform.specs.book.manifest import Manifest

new = typer.Typer(no_args_is_help=True, help="Add a commented entry to the book, made from the data it is about.")
app.add_typer(new, name="new")

Printed = Annotated[bool, typer.Option("--print", help="Print the entry; write nothing.")]
Into = Annotated[Path | None, typer.Option("--into", help="File of the book that takes it (default: a new one).")]
Name = Annotated[str, typer.Argument(help="Name of the entry.")]


Maker = Callable[["Manifest", str, str], Sequence[str]]
"""The book, the entry's name and what it reads → the entry's lines."""


class _FromTable(NamedTuple):
    """An entry made from one source, table or prediction of the book, which the command's ``option`` names."""

    help: str
    chapter: str
    option: str
    reads: str
    lines: Maker


def _feature_set(manifest: "Manifest", name: str, spine: str) -> Sequence[str]:
    from metaplatform.scaffolding.feature_set_entry import feature_set_entry

    return feature_set_entry(manifest, name, spine=spine)


def _table(manifest: "Manifest", name: str, source: str) -> Sequence[str]:
    from metaplatform.scaffolding.query_entries import table_entry

    return table_entry(manifest, name, source=source)


def _report(manifest: "Manifest", name: str, table: str) -> Sequence[str]:
    from metaplatform.scaffolding.query_entries import report_entry

    return report_entry(manifest, name, table=table)


_FROM_TABLES = {
    "feature-set": _FromTable(
        "Add a feature set: the row's own columns, and blocks over the tables that share a key or column with it.",
        "feature_sets",
        "--spine",
        "The source or table whose rows it describes, as in raw.orders.",
        _feature_set,
    ),
    "table": _FromTable(
        "Add an SQL table: a query of all columns of what it reads, to be cut down.",
        "tables",
        "--from",
        "What it reads, as in raw.orders.",
        _table,
    ),
    "report": _FromTable(
        "Add a report of a table or prediction: a page of all its columns, to be cut down.",
        "outputs",
        "--table",
        "What it shows, as in predictions.late_flights.",
        _report,
    ),
}


@new.command("source")
def new_source(
    path: Annotated[
        str | None, typer.Argument(help="A file, or a pattern in quotes, such as 'data/orders/*.csv'.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="A table of a database, as in public.orders.")] = None,
    url_env: Annotated[str | None, typer.Option(help="Environment variable with the URL of its server.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the source (default: the file's or the table's).")] = None,
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add a source: kind, columns, types, key, event timestamp and partitions inferred from its rows.

    A table is one of the database in the file, or of the server whose URL stands in an environment variable.
    """
    from metaplatform.cli.progress import LookProgress
    from metaplatform.scaffolding.book_entries import refuse_names, sound_book
    from metaplatform.scaffolding.source_entry import database_entry, source_entry

    folder = deployment_of(book, None).book
    manifest = sound_book(folder)
    with LookProgress() as progress:
        places = {"folder": Path.cwd(), "project": folder.parent}
        if path and not table and not url_env:
            entry = source_entry(path, **places, name=name, step=progress.columns)
        else:
            entry = database_entry(table or "", url_env=url_env, path=path, **places, name=name, step=progress.columns)
    refuse_names(manifest, [SOURCES.ref(entry.name)])
    _add(folder, {"sources": entry.lines}, name=entry.name, into=into, printed=printed)


@new.command("model")
def new_model(
    name: Name,
    target: Annotated[str, typer.Option(help="The column to predict.")],
    table: Annotated[str, typer.Option(help="The source or table that has it, as in raw.orders.")],
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add a model with its feature set, predictions and monitors, fit for the data there is."""
    from metaplatform.scaffolding.book_entries import refuse_names, sound_book
    from metaplatform.scaffolding.model_entry import model_entries, refs_of

    folder = deployment_of(book, None).book
    manifest = sound_book(folder)
    refuse_names(manifest, refs_of(name))
    _add(folder, model_entries(manifest, name, target=target, table=table), name=name, into=into, printed=printed)


def _from_table(entry: _FromTable) -> Callable[..., None]:
    reads = typer.Option(..., entry.option, help=entry.reads)

    def add(name: Name, ref: str = reads, book: Book = None, into: Into = None, printed: Printed = False) -> None:
        from metaplatform.chapters import CHAPTERS
        from metaplatform.scaffolding.book_entries import refuse_names, sound_book

        folder = deployment_of(book, None).book
        manifest = sound_book(folder)
        refuse_names(manifest, [CHAPTERS[entry.chapter].ref(name)])
        _add(folder, {entry.chapter: entry.lines(manifest, name, ref)}, name=name, into=into, printed=printed)

    return add


for _command, _entry in _FROM_TABLES.items():
    new.command(_command, help=_entry.help)(_from_table(_entry))


def _add(book: Path, entries: Mapping[str, Sequence[str]], *, name: str, into: Path | None, printed: bool) -> None:
    """Print the entries, or put them into the book and say where."""
    from metaplatform.scaffolding.book_entries import add_entries, text_of

    if printed:
        typer.echo(text_of(entries), nl=False)
        return
    target = into or book / f"{name}.yaml"
    add_entries(book, entries, target=target)
    typer.echo(f"added to {target}; now: metaplatform validate")

"""`metaplatform init` and `metaplatform new`: a project, a source or a model to start from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from metaplatform.cli.app import Book, app, deployment_of
from metaplatform.scaffolding.examples import ExampleName


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the project; made if it is not there.")] = Path(),
    name: Annotated[str | None, typer.Option(help="Name of the project (default: the folder's).")] = None,
    example: Annotated[
        ExampleName | None, typer.Option(help="A shipped example with its synthetic data, to begin with.")
    ] = None,
) -> None:
    """Make a new project that runs: a book, data to begin with, Dagster's files, CI and tests."""
    from metaplatform.scaffolding.project import new_project

    for path in new_project(folder, name=name, example=example):
        typer.echo(f"wrote {folder / path}")
    typer.echo("Next, from there: metaplatform validate, metaplatform replay --reactions, metaplatform ui")


new = typer.Typer(no_args_is_help=True, help="Add a commented entry to the book, made from the data it is about.")
app.add_typer(new, name="new")

Printed = Annotated[bool, typer.Option("--print", help="Print the entry; write nothing.")]
Into = Annotated[Path | None, typer.Option("--into", help="File of the book that takes it (default: a new one).")]


@new.command("source")
def new_source(
    path: Annotated[str, typer.Argument(help="A file, or a pattern in quotes, such as 'data/orders/*.csv'.")],
    name: Annotated[str | None, typer.Option(help="Name of the source (default: the file's).")] = None,
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add a source: kind, columns, types, key, event timestamp and partitions inferred from its files."""
    from metaplatform.scaffolding.book_entries import refuse_taken, sound_book
    from metaplatform.scaffolding.source_entry import source_entry

    folder = deployment_of(book, None).book
    manifest = sound_book(folder)
    entry = source_entry(path, folder=Path.cwd(), project=folder.parent, name=name)
    refuse_taken(manifest, [f"raw.{entry.name}"])
    _add(folder, {"sources": entry.lines}, name=entry.name, into=into, printed=printed)


@new.command("model")
def new_model(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    table: Annotated[str, typer.Option(help="The source that has it, as in raw.orders.")],
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add a model with its feature set, predictions and monitors, fit for the data there is."""
    from metaplatform.scaffolding.book_entries import refuse_taken, sound_book
    from metaplatform.scaffolding.model_entry import model_entries, refs_of

    folder = deployment_of(book, None).book
    manifest = sound_book(folder)
    refuse_taken(manifest, refs_of(name))
    _add(folder, model_entries(manifest, name, target=target, table=table), name=name, into=into, printed=printed)


def _add(book: Path, entries: Mapping[str, Sequence[str]], *, name: str, into: Path | None, printed: bool) -> None:
    """Print the entries, or put them into the book and say where."""
    from metaplatform.scaffolding.book_entries import add_entries, text_of

    if printed:
        typer.echo(text_of(entries), nl=False)
        return
    target = into or book / f"{name}.yaml"
    add_entries(book, entries, target=target)
    typer.echo(f"added to {target}; now: metaplatform validate")

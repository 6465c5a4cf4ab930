"""`metaplatform new`: an entry of each chapter to start from, made from the data and the book it is about."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaplatform.cli.app import Book, app, deployment_of

if TYPE_CHECKING:
    from metaplatform.specs.book.manifest import Manifest

new = typer.Typer(no_args_is_help=True, help="Add a commented entry to the book, made from the data it is about.")
app.add_typer(new, name="new")

Printed = Annotated[bool, typer.Option("--print", help="Print the entry; write nothing.")]
Into = Annotated[Path | None, typer.Option("--into", help="File of the book that takes it (default: a new one).")]


Name = Annotated[str, typer.Argument(help="Name of the entry.")]
Prediction = Annotated[str, typer.Option(help="The prediction, by its name.")]


class MonitorKind(StrEnum):
    """Kinds of monitors."""

    DRIFT = "drift"
    PERFORMANCE = "performance"


class OutputKind(StrEnum):
    """Kinds of outputs."""

    REPORT = "report"
    PARQUET = "parquet"
    CSV = "csv"
    VIEWS = "views"


@new.command("source")
def new_source(
    path: Annotated[str, typer.Argument(help="A file, or a pattern in quotes, such as 'data/orders/*.csv'.")],
    name: Annotated[str | None, typer.Option(help="Name of the source (default: the file's).")] = None,
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add a source: kind, columns, types, key, event timestamp and partitions inferred from its files."""
    from metaplatform.cli.progress import LookProgress
    from metaplatform.scaffolding.book_entries import refuse_names, sound_book
    from metaplatform.scaffolding.source_entry import source_entry

    folder = deployment_of(book, None).book
    manifest = sound_book(folder)
    with LookProgress() as progress:
        entry = source_entry(path, folder=Path.cwd(), project=folder.parent, name=name, step=progress.columns)
    refuse_names(manifest, [f"raw.{entry.name}"])
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


@new.command("feature-set")
def new_feature_set(
    name: Name,
    spine: Annotated[str, typer.Option(help="The source or table whose rows it describes, as in raw.orders.")],
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add a feature set: the row's own columns, and blocks over the tables that share a key or column with it."""
    from metaplatform.scaffolding.feature_set_entry import feature_set_entry

    def entry(manifest: "Manifest") -> Sequence[str]:
        return feature_set_entry(manifest, name, spine=spine)

    _add_one("feature_sets", name, entry, book=book, into=into, printed=printed)


@new.command("table")
def new_table(
    name: Name,
    source: Annotated[str, typer.Option("--from", help="What it reads, as in raw.orders.")],
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add an SQL table: a query of all columns of what it reads, to be cut down."""
    from metaplatform.scaffolding.query_entries import table_entry

    def entry(manifest: "Manifest") -> Sequence[str]:
        return table_entry(manifest, name, source=source)

    _add_one("tables", name, entry, book=book, into=into, printed=printed)


@new.command("prediction")
def new_prediction(
    name: Name,
    model: Annotated[str, typer.Option(help="The model that scores, by its name.")],
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add predictions by a model of the book."""
    from metaplatform.scaffolding.prediction_entries import prediction_entry

    def entry(manifest: "Manifest") -> Sequence[str]:
        return prediction_entry(manifest, name, model=model)

    _add_one("predictions", name, entry, book=book, into=into, printed=printed)


@new.command("monitor")
def new_monitor(
    name: Name,
    prediction: Prediction,
    kind: Annotated[MonitorKind, typer.Option(help="What it watches.")] = MonitorKind.DRIFT,
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add a monitor of a prediction."""
    from metaplatform.scaffolding.prediction_entries import monitor_entry

    def entry(manifest: "Manifest") -> Sequence[str]:
        return monitor_entry(manifest, name, prediction=prediction, kind=kind)

    _add_one("monitors", name, entry, book=book, into=into, printed=printed)


@new.command("output")
def new_output(
    name: Name,
    table: Annotated[str, typer.Option(help="What it shows, as in predictions.late_flights.")],
    kind: Annotated[OutputKind, typer.Option(help="What it is.")] = OutputKind.REPORT,
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add an output of a table or prediction: a report, files, or views."""
    from metaplatform.scaffolding.query_entries import output_entry

    def entry(manifest: "Manifest") -> Sequence[str]:
        return output_entry(manifest, name, table=table, kind=kind)

    _add_one("outputs", name, entry, book=book, into=into, printed=printed)


@new.command("reaction")
def new_reaction(
    name: Name,
    prediction: Prediction,
    book: Book = None,
    into: Into = None,
    printed: Printed = False,
) -> None:
    """Add a reaction to a prediction: what is made again, and who is told."""
    from metaplatform.scaffolding.prediction_entries import reaction_entry

    def entry(manifest: "Manifest") -> Sequence[str]:
        return reaction_entry(manifest, name, prediction=prediction)

    _add_one("reactions", name, entry, book=book, into=into, printed=printed)


def _add_one(
    chapter: str,
    name: str,
    entry: Callable[["Manifest"], Sequence[str]],
    *,
    book: Path | None,
    into: Path | None,
    printed: bool,
) -> None:
    """Add one entry of a chapter, made from the book that it goes into."""
    from metaplatform.scaffolding.book_entries import refuse_names, sound_book
    from metaplatform.specs.fields.chapters import CHAPTERS

    folder = deployment_of(book, None).book
    manifest = sound_book(folder)
    refuse_names(manifest, [f"{CHAPTERS[chapter]}.{name}"])
    _add(folder, {chapter: entry(manifest)}, name=name, into=into, printed=printed)


def _add(book: Path, entries: Mapping[str, Sequence[str]], *, name: str, into: Path | None, printed: bool) -> None:
    """Print the entries, or put them into the book and say where."""
    from metaplatform.scaffolding.book_entries import add_entries, text_of

    if printed:
        typer.echo(text_of(entries), nl=False)
        return
    target = into or book / f"{name}.yaml"
    add_entries(book, entries, target=target)
    typer.echo(f"added to {target}; now: metaplatform validate")

"""The command line's application, and the options that its commands share."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaplatform.errors import MetaplatformError
from metaplatform.specs.book.deployment import Deployment

# Every command imports this: what reads a book takes longer than all the rest.
if TYPE_CHECKING:
    from metaplatform.resources.book.book_source import ServedBook
    from metaplatform.specs.book.manifest import Manifest

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Data, features, models and the loop that keeps them right, from one instruction book.",
)

Book = Annotated[Path | None, typer.Option("--book", help="Folder of the instruction book (default: metadata).")]
Root = Annotated[Path | None, typer.Option("--root", help="Storage root (default: .metaplatform).")]
Environment = Annotated[
    str | None, typer.Option("--environment", help="Overlay of `environments/` to lay over the book (default: none).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def deployment_of(book: Path | None, root: Path | None, environment: str | None = None) -> Deployment:
    """Return the deployment of the environment, the options put over it.

    Raises:
        MetaplatformError: if a setting has a value that does not fit.
    """
    paths = {"METAPLATFORM_BOOK": book, "METAPLATFORM_ROOT": root}
    given = {name: str(path.absolute()) for name, path in paths.items() if path}
    if environment is not None:
        given["METAPLATFORM_ENVIRONMENT"] = environment
    try:
        return Deployment.from_environment({**os.environ, **given}, Path.cwd())
    except ValueError as error:
        raise MetaplatformError(
            owner="settings", culprit=str(error), fix="correct the METAPLATFORM_ variable; see docs/operations.md"
        ) from error


def confirm(question: str) -> None:
    """Ask a yes-or-no question; end the command unless it is answered with yes."""
    if not sys.stdin.isatty():
        typer.echo("There is no terminal to ask on: add --yes", err=True)
        raise typer.Exit(2)
    typer.confirm(question, abort=True)


def announce(doing: str) -> None:
    """Say at once what a command does that takes seconds to begin; to be called before it imports what it needs."""
    typer.echo(doing, err=True)


def book_in_files(deployment: Deployment) -> "Manifest":
    """Return the book of the deployment's YAML files, with the parameters and the overlay that are set.

    Raises:
        BookError: with every error of the book.
    """
    from metaplatform.resources.book.files_book import FilesBook

    return FilesBook(deployment).now().manifest


def book_now(deployment: Deployment) -> "ServedBook":
    """Return the deployment's book as it is now at its source, having told if that is away.

    Raises:
        BookError: with every error of the book.
        MetaplatformError: if there is no book.
    """
    from metaplatform.resources.book.deployed_book import book_of

    found = book_of(deployment).now()
    if found.trouble is not None:
        typer.echo(f"{found.trouble}\nThe book that was accepted last is used.", err=True)
    return found


def accept_book(deployment: Deployment, book: "ServedBook") -> None:
    """Let the deployment run from the book that a command takes, where that is for the command to say."""
    from metaplatform.resources.book.deployed_book import book_of

    book_of(deployment).accept(book)

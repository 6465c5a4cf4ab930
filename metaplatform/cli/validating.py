"""`metaplatform validate`: every fault of a book at once."""

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaplatform.cli.app import AsJson, Book, Environment, app, deployment_of
from metaplatform.cli.issue_formats import for_github, for_machines, for_people, github_base
from metaplatform.errors import Issue
from metaplatform.specs.book.deployment import Deployment
from metaplatform.text.plurals import counted

if TYPE_CHECKING:
    from metaplatform.specs.book.manifest import Manifest
    from metaplatform.specs.book.source_looks import Look


class Format(StrEnum):
    """How issues are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


AsFormat = Annotated[
    Format | None,
    typer.Option("--format", help="For people (text), for machines (json), or as annotations of a pull request."),
]
WithData = Annotated[bool, typer.Option("--with-data", help="Look into the sources' files too.")]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings fail too.")]


@app.command()
def validate(
    book: Book = None,
    environment: Environment = None,
    as_json: AsJson = False,
    as_format: AsFormat = None,
    strict: Strict = False,
    with_data: WithData = False,
) -> None:
    """Check the book: every fault at once, each with its file, line, owner, culprit and fix.

    With --with-data, the first rows of every source's files are held against the book too; none is stored.
    Ends with 0 if the book is sound, 1 if it is not, 2 after wrong use. --json is short for --format json.
    """
    from metaplatform.resources.book.deployed_book import book_of
    from metaplatform.resources.book.files_book import FilesBook

    chosen = _chosen(as_format, as_json=as_json)
    deployment = deployment_of(book, None, environment)
    folder = deployment.book
    look = _look(deployment) if with_data else None
    source = FilesBook(deployment) if book is not None else book_of(deployment)
    manifest, issues = source.read(look)
    errors = sum(issue.severity == "error" for issue in issues)
    failed = manifest is None or errors > 0 or (strict and len(issues) > 0)
    summary = _summary(manifest, errors, len(issues) - errors, failed=failed)
    for text in _texts(chosen, issues, folder=folder.parent, summary=summary):
        typer.echo(_encodable(text))
    raise typer.Exit(1 if failed else 0)


def _look(deployment: Deployment) -> "Look":
    """Return what looks at the files of sources, and judges their rows as ingestion does."""
    from metaplatform.compute.ingestion import misfits
    from metaplatform.resources.sources.source_looks import look_at_sources

    return partial(look_at_sources, judge=misfits, threads=deployment.threads)


def _chosen(as_format: Format | None, *, as_json: bool) -> Format:
    if as_json and as_format not in {None, Format.JSON}:
        raise typer.BadParameter(f"--json and --format {as_format} exclude each other")
    return Format.JSON if as_json else as_format or Format.TEXT


def _texts(chosen: Format, issues: Sequence[Issue], *, folder: Path, summary: str) -> list[str]:
    if chosen is Format.JSON:
        return [for_machines(issues)]
    if chosen is Format.GITHUB:
        base = github_base(os.environ, folder)
        return [*(for_github(issue, folder=folder.resolve(), base=base) for issue in issues), summary]
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return [*(for_people(issue, folder=folder, colour=colour) for issue in issues), summary]


def _summary(manifest: "Manifest | None", errors: int, warnings: int, *, failed: bool) -> str:
    if manifest is None or failed:
        strictly = "; --strict treats warnings as errors" if not errors else ""
        return f"The book has {counted(errors, 'error')} and {counted(warnings, 'warning')}{strictly}."
    from metaplatform.chapters import CHAPTERS

    counts = ", ".join(
        counted(len(entities), chapter.removesuffix("s").replace("_", " "))
        for chapter in CHAPTERS
        if (entities := getattr(manifest, chapter))
    )
    return f"The book is sound: {counts}; {counted(warnings, 'warning')}."


def _encodable(text: str) -> str:
    """Return text that standard output can hold, whatever its encoding."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)

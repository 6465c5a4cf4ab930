"""`metaplatform validate`: every fault of a book at once, without touching any data."""

import json
import os
from dataclasses import asdict

import typer

from metaplatform.cli.app import AsJson, Book, Environment, app, deployment_of
from metaplatform.specs.loading import read_book
from metaplatform.specs.manifest import CHAPTERS, Manifest


@app.command()
def validate(book: Book = None, environment: Environment = None, as_json: AsJson = False) -> None:
    """Check the book: every fault at once, each with its file, line, owner, culprit and fix."""
    deployment = deployment_of(book, None, environment)
    manifest, issues = read_book(deployment.book, variables=os.environ, environment=deployment.environment)
    errors = [issue for issue in issues if issue.severity == "error"]
    if as_json:
        typer.echo(json.dumps([asdict(issue) for issue in issues], indent=2))
    else:
        for issue in issues:
            typer.echo(str(issue))
        typer.echo(_summary(manifest, len(errors), len(issues) - len(errors)))
    raise typer.Exit(1 if errors or manifest is None else 0)


def _summary(manifest: Manifest | None, errors: int, warnings: int) -> str:
    if manifest is None or errors:
        return f"The book has {errors} error(s) and {warnings} warning(s)."
    counts = ", ".join(
        f"{len(getattr(manifest, chapter))} {chapter}" for chapter in CHAPTERS if getattr(manifest, chapter)
    )
    return f"The book is sound: {counts}; {warnings} warning(s)."

"""`metaplatform init`: a project to start from."""

from pathlib import Path
from typing import Annotated

import typer

from metaplatform.cli.app import app
from metaplatform.scaffolding.examples import ExampleName


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the project; created if it does not exist.")] = Path(),
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

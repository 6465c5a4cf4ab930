"""`metaplatform schema`: the JSON Schema of a book's file, for editors."""

import json
from pathlib import Path
from typing import Annotated

import typer

from metaplatform.cli.app import app
from metaplatform.errors import MetaplatformError
from metaplatform.resources.files.file_writing import write_whole


@app.command()
def schema(
    write: Annotated[Path | None, typer.Option("--write", help="Write it to this file instead of printing it.")] = None,
) -> None:
    """Print the JSON Schema of a book's file: completion, hover texts and checks in editors."""
    from metaplatform.specs.language.schema import book_schema

    text = json.dumps(book_schema(), indent=2) + "\n"
    if write is None:
        typer.echo(text, nl=False)
        return
    try:
        write_whole(write, text.encode())
    except OSError as error:
        raise MetaplatformError(
            owner="schema", culprit=f"{write} cannot be written: {error.strerror}", fix="name a writable file"
        ) from error
    typer.echo(f"{write}: the JSON Schema of the book")

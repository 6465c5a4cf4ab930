"""`metaplatform root`: what is to be done with a storage root as a whole."""

from pathlib import Path
from typing import Annotated

import typer

from metaplatform.cli.app import app, confirm
from metaplatform.errors import StorageError

roots = typer.Typer(no_args_is_help=True, help="Give up a storage root, or restore what it has lost.")
app.add_typer(roots, name="root")


@roots.command()
def remove(
    folder: Annotated[Path, typer.Argument(help="The storage root.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove all that the platform made below a storage root, a live one too, while nobody uses it."""
    from metaplatform.resources.storage.root_use import contents_of, give_up, root_alone, use_of

    root = folder.absolute()
    present = contents_of(root)
    if not present:
        raise StorageError(owner=str(root), culprit="it holds no storage", fix="name the folder of a storage root")
    if not yes:
        use = {"live": "live", "replay": "made by a replay", None: "not marked as live or replay"}[use_of(root)]
        typer.echo(f"{root} ({use}) holds {', '.join(present)}")
        confirm("Remove all of it?")
    with root_alone(root):
        left = give_up(root)
    typer.echo(f"Removed {', '.join(present)} from {root}")
    if left:
        typer.echo(f"Left there, because the platform did not make it: {', '.join(left)}")


@roots.command()
def restore(folder: Annotated[Path, typer.Argument(help="The storage root.")]) -> None:
    """Make a lost or damaged mlflow.db again: versions, their scores and who is champion, from the models' files."""
    from metaplatform.resources.models.root_restoring import restore_registry
    from metaplatform.resources.storage.root_use import root_alone

    root = folder.absolute()
    with root_alone(root):
        told = restore_registry(root)
    for line in told:
        typer.echo(line)

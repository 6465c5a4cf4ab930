"""The command with which a person lets pass what is held back."""

from typing import Annotated

import typer

from metaplatform.cli.app import Book, Environment, Root, app, book_now, deployment_of


@app.command()
def approve(
    ref: Annotated[
        str | None, typer.Argument(help="A source or a prediction; left out, what is held back is listed.")
    ] = None,
    partition: Annotated[str | None, typer.Option(help="Only this partition; default: all that are held back.")] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with the approval.")] = "",
    book: Book = None,
    root: Root = None,
    environment: Environment = None,
) -> None:
    """Let data pass that is held back for its quarantine or its profile; the loop goes on at its next tick."""
    from metaplatform.resources.process.clock import Clock
    from metaplatform.resources.storage.root_use import root_in_use
    from metaplatform.resources.storage.warehouse import Warehouse
    from metaplatform.work.approvals import approve as keep_approval
    from metaplatform.work.approvals import held_back

    deployment = deployment_of(book, root, environment)
    manifest, warehouse = book_now(deployment).manifest, Warehouse(root=str(deployment.root))
    if ref is None:
        found = held_back(manifest, warehouse)
        for held in found:
            typer.echo(f"{held.subject}: {held.why}")
        if not found:
            typer.echo("Nothing is held back.")
        return
    with root_in_use(deployment.root):
        approved = keep_approval(manifest, warehouse, ref, partition, reason=reason, now=Clock().now())
    for held in approved:
        typer.echo(f"{held.subject}: approved: {held.why}")

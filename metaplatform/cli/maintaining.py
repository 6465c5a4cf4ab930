"""`metaplatform maintain`: what the loop does to the tables each night, now."""

from datetime import timedelta

import typer

from metaplatform.cli.app import Root, app, deployment_of


@app.command()
def maintain(root: Root = None) -> None:
    """Set the tables' statistics right, for readers that skip files by them, and remove files of old versions.

    Readers, writers and the loop may be at work meanwhile. METAPLATFORM_KEEP_VERSIONS_DAYS says how long a version
    stays readable.
    """
    from metaplatform.resources.process.clock import Clock
    from metaplatform.resources.storage.root_use import root_in_use
    from metaplatform.resources.storage.warehouse import Warehouse

    deployment = deployment_of(None, root)
    warehouse = Warehouse(root=str(deployment.root), memory_limit=deployment.memory_limit, threads=deployment.threads)
    with root_in_use(deployment.root):
        done = warehouse.maintain_all(keep=timedelta(days=deployment.keep_versions_days), now=Clock().now())
    for ref, maintained in done.items():
        typer.echo(f"{ref}: {maintained}")
    typer.echo(f"{len(done)} of {len(warehouse.stored())} tables needed it" if done else "no table needed it")

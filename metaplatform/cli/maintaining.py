"""`metaplatform maintain`: what the loop does to the tables and to Dagster's history each night, now."""

from datetime import timedelta

import typer

from metaplatform.cli.app import Root, app, deployment_of


@app.command()
def maintain(root: Root = None) -> None:
    """Set the tables' statistics right, for readers that skip files by them, and remove files of old versions.

    What Dagster keeps of old runs is removed too. Readers, writers and the loop may be at work meanwhile.
    METAPLATFORM_KEEP_VERSIONS_DAYS and METAPLATFORM_KEEP_RUNS_DAYS say how long versions and runs stay.
    """
    from metaplatform.execution import deployment_instance
    from metaplatform.factories.automation.maintenance import forget_old_runs
    from metaplatform.resources.process.clock import Clock
    from metaplatform.resources.storage.root_use import root_in_use
    from metaplatform.resources.storage.warehouse import Warehouse

    deployment = deployment_of(None, root)
    warehouse = Warehouse(root=str(deployment.root), memory_limit=deployment.memory_limit, threads=deployment.threads)
    now = Clock().now()
    with root_in_use(deployment.root):
        done = warehouse.maintain_all(keep=timedelta(days=deployment.keep_versions_days), now=now)
    for ref, maintained in done.items():
        typer.echo(f"{ref}: {maintained}")
    typer.echo(f"{len(done)} of {len(warehouse.stored())} tables needed it" if done else "no table needed it")
    if deployment.dagster_home.exists():
        with root_in_use(deployment.root), deployment_instance(deployment) as instance:
            gone = forget_old_runs(instance, deployment.root, keep_days=deployment.keep_runs_days, now=now)
        if gone is not None:
            typer.echo(f"Dagster: {gone}")

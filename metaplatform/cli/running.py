"""The loop's commands: walk through history, serve it, and ask what it did."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

# What opens the warehouse or Dagster is imported by the command that does: `validate` needs neither.
from metaplatform.chapters import PREDICTIONS
from metaplatform.cli.app import AsJson, Book, Environment, Root, accept_book, announce, app, book_now, deployment_of
from metaplatform.errors import MetaplatformError
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.records.ledger import Decision, Promotion
from metaplatform.text.moments import shown

if TYPE_CHECKING:
    from metaplatform.cli.model_past import Past
    from metaplatform.replay.results import ReplayResult
    from metaplatform.specs.book.manifest import Manifest


@app.command()
def replay(
    book: Book = None,
    root: Root = None,
    environment: Environment = None,
    until: Annotated[datetime | None, typer.Option(help="Last moment (UTC); default: the end of the data.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove what earlier replays made below the storage root, and start clean.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the last replay of the root stopped.")] = False,
    reactions: Annotated[
        bool, typer.Option("--reactions", help="Let reactions act; without it they only wait.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Walk history through the same assets, checks, sensors and policies that run live."""
    if fresh and resume:
        raise typer.BadParameter("--resume goes on with what --fresh removes: give one of them")
    deployment = deployment_of(book, root, environment)
    announce(f"Replaying below {deployment.root}")
    from metaplatform.cli.progress import Progress
    from metaplatform.cli.tables import replay_table
    from metaplatform.replay.history import replay_history

    current = book_now(deployment)
    with Progress(current.manifest.timezone) as progress:
        result = replay_history(
            current.manifest,
            deployment,
            until=until,
            fresh=fresh,
            with_reactions=reactions,
            progress=progress,
            accept=lambda: accept_book(deployment, current),
            resume=resume,
        )
    if json_file:
        json_file.write_text(result.to_json(), encoding="utf-8")
    replay_table(result)
    raise typer.Exit(_told_failure(result))


def _told_failure(result: "ReplayResult") -> int:
    """Say why a replay ended early, if it did; return the exit code."""
    if result.failure is None:
        return 0
    told = f" at {shown(datetime.fromisoformat(result.reached), result.zone)}" if result.reached else ""
    typer.echo(f"The replay ended{told}: {result.failure}\n`replay --resume` goes on from there.", err=True)
    return 1


@app.command()
def ui(
    book: Book = None,
    root: Root = None,
    environment: Environment = None,
    port: Annotated[int, typer.Option(help="Port of Dagster's UI on 127.0.0.1.")] = 3000,
) -> None:
    """Start Dagster's UI, MLflow and the reports on this machine; Ctrl-C stops all of them."""
    deployment = deployment_of(book, root, environment)
    # What serves takes seconds to import.
    typer.echo(f"Serving {deployment.root}: Ctrl-C stops")
    from metaplatform.cli.serving import serve_deployment

    raise typer.Exit(serve_deployment(deployment, port))


@app.command()
def versions(
    model: str, book: Book = None, environment: Environment = None, root: Root = None, as_json: AsJson = False
) -> None:
    """List a model's versions: what each learnt from, its scores, when and why it was promoted, or not."""
    from metaplatform.cli.model_history import tell_versions
    from metaplatform.specs.book.definitions import redefined_for

    deployment = deployment_of(book, root, environment)
    past = _past(deployment, model)
    found = past.registry.versions(model)
    bundles = {version.version: past.registry.load(model, version.version) for version in found}
    manifest = _present_book(deployment, past)
    outdated = {
        number: redefined_for(manifest, model, bundle.lineage.definitions) for number, bundle in bundles.items()
    }
    promotions = past.ledger.read(Promotion, model=model)
    tell_versions(found, bundles, promotions, zone=past.zone, as_json=as_json, outdated=outdated)


@app.command()
def rollback(
    model: str,
    to: Annotated[int | None, typer.Option(help="Version to return to; default: the champion before.")] = None,
    root: Root = None,
) -> None:
    """Make an earlier version champion again; predictions follow at the next tick of the sensor."""
    from metaplatform.resources.storage.root_use import root_in_use

    deployment = deployment_of(None, root)
    past = _past(deployment, model)
    with root_in_use(deployment.root):
        before = past.registry.champion(model)
        version = past.registry.rollback(model, to)
    place = f", in the place of version {before.version}" if before else ""
    typer.echo(f"{model}: version {version.version} is champion again{place}.")
    for name in past.scored_by(model):
        typer.echo(
            f"{PREDICTIONS.ref(name)}: version {version.version} scores the newest partition again at the loop's next "
            "tick, and what is made of it follows; older partitions stay as they are."
        )
    typer.echo(f"From now on monitors and the retrain policy look at version {version.version}.")


@app.command()
def decisions(
    model: Annotated[str | None, typer.Argument()] = None, root: Root = None, as_json: AsJson = False
) -> None:
    """Say why each model was trained again, or not, and what came of it."""
    from metaplatform.cli.model_history import episodes, tell_decisions

    past = _past(deployment_of(None, root), model)
    only = {"model": model} if model else {}
    found = episodes(past.ledger.read(Decision, **only), past.ledger.read(Promotion, **only))
    tell_decisions(found, zone=past.zone, as_json=as_json)


def _present_book(deployment: Deployment, past: "Past") -> "Manifest":
    """Return the book as it is now; the one that last ran where there is none that is sound."""
    try:
        return book_now(deployment).manifest
    except MetaplatformError:
        from metaplatform.specs.snapshots import past_manifest

        return past_manifest(past.book)


def _past(deployment: Deployment, model: str | None) -> "Past":
    """Return what a storage root knows of its models.

    Raises:
        MetaplatformError: if it knows some, and ``model`` is not among them.
    """
    from metaplatform.cli.model_past import Past

    past = Past.below(deployment)
    if model is not None:
        past.check(model)
    return past

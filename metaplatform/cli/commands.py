"""The commands. Exit codes: 0 done, 1 a fault of book, data or storage, 2 wrong use of the command."""

import gc
import json
import os
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from metaplatform.cli.tables import decisions_table, replay_table, versions_table
from metaplatform.errors import MetaplatformError
from metaplatform.resources.ledger import Ledger
from metaplatform.resources.model_registry import ModelRegistry
from metaplatform.resources.quiet import quiet_libraries
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.deployment import Deployment
from metaplatform.specs.loading import load_book, read_book
from metaplatform.specs.manifest import CHAPTERS, Manifest
from metaplatform.specs.records import Decision, Promotion

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Data, features, models and the loop that keeps them right, from one instruction book.",
)

Book = Annotated[Path | None, typer.Option("--book", help="Folder of the instruction book (default: metadata).")]
Root = Annotated[Path | None, typer.Option("--root", help="Storage root (default: .metaplatform).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

_COLLECT_AFTER = 50_000
"""New objects between two rounds of the garbage collector."""


def deployment_of(book: Path | None, root: Path | None) -> Deployment:
    """Return the deployment of the environment, the two options put over it."""
    given = {"METAPLATFORM_BOOK": book, "METAPLATFORM_ROOT": root}
    environment = {**os.environ, **{name: str(path.absolute()) for name, path in given.items() if path}}
    try:
        return Deployment.from_environment(environment, Path.cwd())
    except ValueError as error:
        raise MetaplatformError(
            owner="settings", culprit=str(error), fix="correct the METAPLATFORM_ variable; see docs/operations.md"
        ) from error


@app.command()
def validate(book: Book = None, as_json: AsJson = False) -> None:
    """Check the book: every fault at once, each with its file, line, owner, culprit and fix."""
    manifest, issues = read_book(deployment_of(book, None).book)
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


@app.command()
def replay(
    book: Book = None,
    root: Root = None,
    until: Annotated[datetime | None, typer.Option(help="Last moment (UTC); default: when the data ends.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove what the storage root holds, and start clean.")
    ] = False,
    reactions: Annotated[bool, typer.Option("--reactions", help="Let reactions act; else they only stand by.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Walk history through the same assets, checks, sensors and policies that run live."""
    from metaplatform.cli.progress import Progress
    from metaplatform.replay.history import replay_history

    deployment = deployment_of(book, root)
    manifest = load_book(deployment.book)
    # A replay makes millions of short-lived objects beside half a million that stay: the default is a sixth slower.
    gc.set_threshold(_COLLECT_AFTER)
    with Progress() as progress:
        result = replay_history(
            manifest, deployment, until=until, fresh=fresh, with_reactions=reactions, progress=progress
        )
    if json_file:
        json_file.write_text(result.to_json(), encoding="utf-8")
    replay_table(result)


@app.command()
def ui(
    book: Book = None,
    root: Root = None,
    port: Annotated[int, typer.Option(help="Port of Dagster's UI on 127.0.0.1.")] = 3000,
) -> None:
    """Start Dagster's UI, MLflow and the reports on this machine; Ctrl-C stops all of them."""
    from metaplatform.cli.serving import serve_deployment

    raise typer.Exit(serve_deployment(deployment_of(book, root), port))


@app.command()
def versions(model: str, root: Root = None, as_json: AsJson = False) -> None:
    """List a model's versions, which is champion, and what each was trained on."""
    versions_table(_registry(deployment_of(None, root)).versions(model), as_json=as_json)


@app.command()
def rollback(
    model: str,
    to: Annotated[int | None, typer.Option(help="Version to return to; default: the champion before.")] = None,
    root: Root = None,
) -> None:
    """Make an earlier version champion again; predictions follow at the next look of the sensor."""
    version = _registry(deployment_of(None, root)).rollback(model, to)
    typer.echo(f"{model}: version {version.version} is champion again")


@app.command()
def decisions(
    model: Annotated[str | None, typer.Argument()] = None, root: Root = None, as_json: AsJson = False
) -> None:
    """Say why each model was trained again, or not, and which challenger was taken."""
    ledger = Ledger(Warehouse(root=str(deployment_of(None, root).root)))
    only = {"model": model} if model else {}
    decisions_table(ledger.read(Decision, **only), ledger.read(Promotion, **only), as_json=as_json)


def _registry(deployment: Deployment) -> ModelRegistry:
    return ModelRegistry(tracking_uri=deployment.tracking_uri, artifact_root=str(deployment.root / "mlartifacts"))


def main() -> None:
    """Run the command line; the project's own errors become one message and exit code 1."""
    quiet_libraries()
    try:
        app()
    except MetaplatformError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)

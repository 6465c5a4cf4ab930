"""`metaplatform book push | pull | diff | check`: the book between YAML files and a database."""

import getpass
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaplatform.cli.app import AsJson, Book, Environment, Root, app, book_in_files, deployment_of
from metaplatform.errors import BookError
from metaplatform.specs.book.deployment import Deployment
from metaplatform.text.plurals import counted

# What opens a database is imported by the command that does: the others start without it.
if TYPE_CHECKING:
    from metaplatform.resources.book.book_database import BookDatabase, PushPlan
    from metaplatform.specs.snapshot_changes import EntityChange

_SHOWN_CHARACTERS = 200

book_app = typer.Typer(no_args_is_help=True, help="Move the book between YAML files and a database.")
app.add_typer(book_app, name="book")

To = Annotated[str | None, typer.Option("--to", help="Database URL; with a password in it, rather use --to-env.")]
ToEnv = Annotated[str | None, typer.Option("--to-env", help="Environment variable that holds the database URL.")]


@book_app.command()
def push(
    to: To = None,
    to_env: ToEnv = None,
    book: Book = None,
    environment: Environment = None,
    root: Root = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove entities that the book does not have.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite edits that were not pulled.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    by: Annotated[str | None, typer.Option("--as", help="Name for the audit; default: the system's user.")] = None,
) -> None:
    """Bring a database to the book, in one transaction, unless that would undo somebody's edit."""
    from metaplatform.resources.book.book_database import entity_hashes
    from metaplatform.resources.book.book_sightings import BookSightings
    from metaplatform.resources.process.clock import Clock

    deployment = deployment_of(book, root, environment)
    database, sightings = _database(to, to_env, deployment), BookSightings(deployment.root, deployment.book)
    manifest = book_in_files(deployment)
    seen = sightings.entities(database.name)
    plan = database.plan(manifest, seen, delete=delete)
    _show_plan(plan, database.name)
    if dry_run:
        return
    done = database.push(manifest, seen, by=by or getpass.getuser(), now=Clock().now(), delete=delete, force=force)
    # What is only in the database was not looked at here: it stays as (un)known as it was.
    untouched = {ref: seen[ref] for ref in done.left if ref in seen}
    sightings.keep(database.name, {**entity_hashes(manifest), **untouched})
    typer.echo(f"{database.name}: {counted(len(done.changes), 'entity', 'entities')} changed.")


@book_app.command()
def pull(
    to: To = None,
    to_env: ToEnv = None,
    book: Book = None,
    root: Root = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that were edited since a pull.")] = False,
) -> None:
    """Write a database's book as YAML files, one for each chapter."""
    from metaplatform.resources.book.book_sightings import BookSightings
    from metaplatform.resources.book.book_writing import write_book

    deployment = deployment_of(book, root)
    database, sightings = _database(to, to_env, deployment), BookSightings(deployment.root, deployment.book)
    manifest, issues, contents = database.read_manifest(deployment.book.parent)
    if manifest is None:
        raise BookError(issues)
    files = write_book(contents.snapshot, deployment.book, sightings, force=force)
    sightings.keep(database.name, contents.entity_hashes)
    for what, names in files.items():
        for name in names:
            typer.echo(f"{what}: {deployment.book / name}")
    typer.echo(f"{counted(len(contents.entity_hashes), 'entity', 'entities')} pulled from {database.name}.")


@book_app.command()
def diff(
    to: To = None,
    to_env: ToEnv = None,
    book: Book = None,
    environment: Environment = None,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Show what a push would change; exit code 0 if nothing, 1 if something (as `git diff --exit-code`)."""
    from metaplatform.specs.snapshot_changes import snapshot_changes
    from metaplatform.specs.snapshots import snapshot_of

    deployment = deployment_of(book, root, environment)
    database = _database(to, to_env, deployment)
    changes = snapshot_changes(database.read().snapshot, snapshot_of(book_in_files(deployment)))
    if as_json:
        typer.echo(json.dumps({"equal": not changes, "changes": [_as_json(change) for change in changes]}, indent=2))
    else:
        _show_changes(changes)
        differ = counted(len(changes), "entity differs", "entities differ")
        typer.echo(f"{differ}." if changes else "The book and the database are the same.")
    raise typer.Exit(1 if changes else 0)


@book_app.command()
def check(to: To = None, to_env: ToEnv = None, book: Book = None, as_json: AsJson = False) -> None:
    """Check the book that a database holds: every fault at once; exit code 1 if there is an error."""
    deployment = deployment_of(book, None)
    manifest, issues, contents = _database(to, to_env, deployment).read_manifest(deployment.book.parent)
    if as_json:
        typer.echo(json.dumps([asdict(issue) for issue in issues], indent=2))
    else:
        for issue in issues:
            typer.echo(str(issue))
        entities = counted(len(contents.entity_hashes), "entity", "entities")
        typer.echo(f"{entities}, {'sound' if manifest else 'not sound'}.")
    raise typer.Exit(0 if manifest else 1)


def _database(to: str | None, to_env: str | None, deployment: Deployment) -> "BookDatabase":
    if to and to_env:
        raise typer.BadParameter("give --to or --to-env, not both")
    from metaplatform.resources.book.book_database import BookDatabase
    from metaplatform.resources.book.database_book import database_behind

    return BookDatabase(to) if to else database_behind(to_env or deployment.book_url_env)


def _show_plan(plan: "PushPlan", name: str) -> None:
    _show_changes(plan.changes)
    for ref in plan.left:
        typer.echo(f"  {ref}: only in the database; it stays (--delete removes it)")
    for change in plan.conflicts:
        typer.echo(f"! {change.ref}: edited in {name} since this checkout last saw it")


def _show_changes(changes: Sequence["EntityChange"]) -> None:
    for change in changes:
        typer.echo(f"{ {'added': '+', 'removed': '-', 'changed': '~'}[change.kind] } {change.ref}: {change.kind}")
        for field in change.fields if change.kind == "changed" else ():
            typer.echo(f"    {field.path}: {_shown(field.before)} -> {_shown(field.after)}")


def _shown(value: Any) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)[:_SHOWN_CHARACTERS]


def _as_json(change: "EntityChange") -> dict[str, Any]:
    return {"entity": change.ref, "kind": change.kind, "fields": [asdict(field) for field in change.fields]}

"""`metaplatform plan` and `metaplatform apply`: what a book changes, and doing just that."""

import json
import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from metaplatform.cli.app import (
    AsJson,
    Book,
    Environment,
    Root,
    accept_book,
    announce,
    app,
    book_in_files,
    book_now,
    confirm,
    deployment_of,
)
from metaplatform.resources.book.git_books import book_at
from metaplatform.specs.book.deployment import Deployment
from metaplatform.text.plurals import counted

if TYPE_CHECKING:
    from metaplatform.compute.changes.plan import Plan

CHANGES = 3
"""Exit code of ``--detailed-exitcode`` where there is something to do; 2 is wrong use of a command."""


@app.command()
def plan(
    book: Book = None,
    environment: Environment = None,
    root: Root = None,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a comment for a pull request.")] = False,
    before: Annotated[
        str | None, typer.Option("--from", help="Compare with the book of this git revision, not with the warehouse.")
    ] = None,
    after: Annotated[
        str | None, typer.Option("--to", help="With --from: the git revision to plan (default: the files as they are).")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--from-env", help="Compare the files with the book in the database whose URL this variable holds."
        ),
    ] = None,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="End with 3 where there is something to do.")
    ] = False,
) -> None:
    """Say what the book changes of what the warehouse was made from: what is made again, why, and whom it breaks."""
    if (after is not None and before is None) or (as_json and markdown) or (before and database):
        typer.echo("--to needs --from, --from goes without --from-env, and --json without --markdown", err=True)
        raise typer.Exit(2)
    deployment = deployment_of(book, root, environment)
    if database is not None:
        found = _from_database(database, deployment)
    elif before is None:
        found = _against_the_warehouse(deployment)
    else:
        found = _between(before, after, deployment)
    _tell(found, as_json=as_json, markdown=markdown)
    raise typer.Exit(CHANGES if detailed and not found.empty else 0)


def _tell(found: "Plan", *, as_json: bool, markdown: bool) -> None:
    from metaplatform.cli.plan_tables import plan_table
    from metaplatform.planning.text import to_json, to_markdown

    if as_json:
        typer.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    elif markdown:
        typer.echo(to_markdown(found), nl=False)
    else:
        plan_table(found)


@app.command()
def apply(
    book: Book = None,
    environment: Environment = None,
    root: Root = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Make this reference, and what of the plan it reads; repeatable.")
    ] = None,
    allow_breaking: Annotated[
        bool, typer.Option("--allow-breaking", help="Make changes too that break those who read the results.")
    ] = False,
) -> None:
    """Make again what the plan calls stale, and nothing else, through the assets that the loop runs."""
    deployment = deployment_of(book, root, environment)
    announce(f"Comparing the book with what is below {deployment.root}")
    from metaplatform.cli.plan_tables import ApplyProgress, plan_table
    from metaplatform.planning.apply import apply_plan, selected
    from metaplatform.planning.state import plan_of
    from metaplatform.planning.taking import take_book
    from metaplatform.planning.text import summary

    current = book_now(deployment)
    manifest = current.manifest
    planned = selected(plan_of(manifest, deployment), manifest, only or ())
    if planned.empty:
        take_book(deployment, typer.echo)
    plan_table(planned)
    if planned.empty:
        return
    if not yes:
        confirm("Do that?")
    accept_book(deployment, current)
    # Before anything is made: what arrives meanwhile is then made from this book too.
    take_book(deployment, typer.echo)
    with ApplyProgress() as progress:
        done = apply_plan(manifest, deployment, only=only or (), allow_breaking=allow_breaking, progress=progress)
    left = "Nothing is left to do." if done.left.empty else f"Left: {summary(done.left)}"
    typer.echo(f"Made {counted(len(done.made), 'asset')} in {counted(done.runs, 'run')}. {left}")


def _between(before: str, after: str | None, deployment: Deployment) -> "Plan":
    from metaplatform.compute.changes.staleness import Past, plan_changes
    from metaplatform.specs.loading import load_book

    read = partial(load_book, variables=os.environ, environment=deployment.environment)
    with ExitStack() as books:
        old = read(books.enter_context(book_at(before, deployment.book)))
        new = read(books.enter_context(book_at(after, deployment.book)) if after is not None else deployment.book)
        return plan_changes(Past.of_book(old), new)


def _against_the_warehouse(deployment: Deployment) -> "Plan":
    from metaplatform.planning.state import plan_of

    return plan_of(book_now(deployment).manifest, deployment)


def _from_database(variable: str, deployment: Deployment) -> "Plan":
    from metaplatform.compute.changes.staleness import Past, plan_changes
    from metaplatform.resources.book.database_book import database_behind

    old = database_behind(variable).manifest(deployment.book.parent)
    return plan_changes(Past.of_book(old), book_in_files(deployment))

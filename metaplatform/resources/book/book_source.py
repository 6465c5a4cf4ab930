"""Where a deployment's book comes from: its YAML files, or the accepted snapshot of its database."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from metaplatform.errors import BookError, Issue, MetaplatformError
from metaplatform.resources.book.book_snapshots import BookSnapshots
from metaplatform.resources.book.compiled_books import CompiledBooks, compiled_key
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Look
from metaplatform.specs.compiled import AskedVariables
from metaplatform.specs.loading import WrittenBook, load_written, read_book
from metaplatform.specs.snapshots import manifest_of

if TYPE_CHECKING:
    from metaplatform.resources.book.book_database import BookContents, BookDatabase


def database_of(deployment: Deployment, environment: Mapping[str, str] = os.environ) -> "BookDatabase":
    """Return the database that the deployment's book is in.

    Raises:
        MetaplatformError: if the variable that should hold its URL does not.
    """
    return database_behind(deployment.book_url_env, environment)


def database_behind(variable: str, environment: Mapping[str, str] = os.environ) -> "BookDatabase":
    """Return the database whose URL an environment variable holds.

    Raises:
        MetaplatformError: if it holds none.
    """
    url = environment.get(variable, "")
    if not url:
        raise MetaplatformError(
            owner="book database",
            culprit=f"environment variable {variable} is not set",
            fix=f"set {variable} to the database's URL (postgresql://... or sqlite:///...)",
        )
    # A book in files needs no database's library.
    from metaplatform.resources.book.book_database import BookDatabase

    return BookDatabase(url)


def load_deployed_book(
    deployment: Deployment, *, snapshot: str | None = None, variables: Mapping[str, str] = os.environ
) -> tuple[Manifest, str | None]:
    """Return the deployment's book, and the hash of its snapshot if it comes from a database.

    ``snapshot`` names the snapshot to read; otherwise it is the accepted one, made from the database if there is none.
    ``variables`` set the parameters of a book in files.

    Raises:
        BookError: with every fault, if the book is not sound.
        MetaplatformError: if the database or the snapshot cannot be read.
    """
    compiled = CompiledBooks(deployment.root)
    if deployment.book_source == "yaml":
        return _load_files(deployment, compiled, variables), None
    snapshots = BookSnapshots(deployment.root)
    chosen = snapshot or snapshots.accepted() or accept_first(deployment, snapshots)
    return _load_snapshot(deployment, compiled, snapshots, chosen), chosen


def _load_files(deployment: Deployment, compiled: CompiledBooks, variables: Mapping[str, str]) -> Manifest:
    written = WrittenBook.read(deployment.book, deployment.environment, deployment.source_folders)
    return load_compiled(written, compiled_key(*written.texts()), compiled, variables)


def load_compiled(written: WrittenBook, key: str, compiled: CompiledBooks, variables: Mapping[str, str]) -> Manifest:
    """Return the book that is written: as it was compiled under ``key``, or checked and compiled now.

    Raises:
        BookError: with every fault, if the book is not sound.
    """
    found = compiled.find(key, project=written.root, variables=variables)
    if found is None:
        asked = AskedVariables(variables)
        found = load_written(written, variables=asked)
        compiled.keep(key, found, asked)
    return replace(found, source_folders=written.source_folders)


def _load_snapshot(deployment: Deployment, compiled: CompiledBooks, snapshots: BookSnapshots, chosen: str) -> Manifest:
    project = str(deployment.book.parent)
    folders = deployment.source_folders
    key = compiled_key(["snapshot", chosen], folders)
    found = compiled.find(key, project=project, variables={})
    if found is None:
        origin = f"book snapshot {chosen}"
        found = manifest_of(snapshots.read(chosen), root=project, origin=origin, source_folders=folders)
        found = _without_places(found)
        compiled.keep(key, found, AskedVariables({}))
    return replace(found, source_folders=folders)


def _without_places(manifest: Manifest) -> Manifest:
    """Return a book of rows, which have no file and line that a link could open."""
    return replace(manifest, locations={})


def accept_first(deployment: Deployment, snapshots: BookSnapshots) -> str:
    """Accept what the database holds now; return its hash.

    Raises:
        BookError: with every fault, if it is not sound.
    """
    manifest, issues, contents = database_of(deployment).read_manifest(
        deployment.book.parent, source_folders=deployment.source_folders
    )
    if manifest is None:
        raise BookError(issues)
    return snapshots.accept(contents.hash, contents.snapshot)


@dataclass(frozen=True)
class CurrentBook:
    """A deployment's book as its source has it now; ``trouble`` is what kept from looking at its database.

    ``contents`` is what the database holds, if the book is in one and that could be read.
    """

    manifest: Manifest
    trouble: MetaplatformError | None = None
    contents: "BookContents | None" = None

    def accept(self, root: Path) -> None:
        """Let the deployment, whose storage root is ``root``, run from this book if it is in a database."""
        snapshots = BookSnapshots(root)
        if self.contents is not None and self.contents.hash != snapshots.accepted():
            snapshots.accept(self.contents.hash, self.contents.snapshot)


def current_book(deployment: Deployment) -> CurrentBook:
    """Return the deployment's book as its files or its database have it now; if that is away, the one accepted last.

    Raises:
        BookError: with every fault, if the book is not sound.
        MetaplatformError: if the database cannot be read, and no book was accepted yet.
    """
    if deployment.book_source == "yaml":
        return CurrentBook(load_deployed_book(deployment)[0])
    try:
        manifest, issues, contents = database_of(deployment).read_manifest(
            deployment.book.parent, source_folders=deployment.source_folders
        )
    except MetaplatformError as error:
        if BookSnapshots(deployment.root).accepted() is None:
            raise
        return CurrentBook(load_deployed_book(deployment)[0], error)
    if manifest is None:
        raise BookError(issues)
    return CurrentBook(_without_places(manifest), contents=contents)


def content_at_source(deployment: Deployment) -> str | None:
    """Return what tells the book that the deployment is to serve from others: of files, or the accepted snapshot."""
    if deployment.book_source == "sql":
        return BookSnapshots(deployment.root).accepted()
    return compiled_key(*WrittenBook.read(deployment.book, deployment.environment).texts())


def read_deployed_book(
    deployment: Deployment, *, variables: Mapping[str, str] = os.environ, look: Look | None = None
) -> tuple[Manifest | None, tuple[Issue, ...]]:
    """Return the book at its source, as it is there now, or None if there are errors; and every issue.

    ``look`` says what the sources' files hold.
    """
    if deployment.book_source == "yaml":
        return read_book(
            deployment.book,
            variables=variables,
            environment=deployment.environment,
            source_folders=deployment.source_folders,
            look=look,
        )
    manifest, issues, _ = database_of(deployment).read_manifest(
        deployment.book.parent, source_folders=deployment.source_folders, look=look
    )
    return manifest, issues

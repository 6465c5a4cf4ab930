"""A book in a database: a sound edit is accepted by itself, and definitions are built of what was accepted."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from metaplatform import places
from metaplatform.errors import BookError, Issue, MetaplatformError
from metaplatform.resources.book.book_source import BookLook, BookSource, ServedBook, errors_of
from metaplatform.resources.book.kept_books import KeptBooks
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Look

if TYPE_CHECKING:
    from metaplatform.resources.book.book_database import BookDatabase


class DatabaseBook(BookSource):
    """The tables of a database; its accepted book is the snapshot that the deployment runs from."""

    takes_edits = True

    def __init__(self, deployment: Deployment, environment: Mapping[str, str] = os.environ) -> None:
        """Take the deployment, and the variables of which one holds the database's URL."""
        super().__init__(deployment, environment)
        self._kept = KeptBooks(deployment, "database", former=places.ACCEPTED)

    def read(self, look: Look | None = None) -> tuple[Manifest | None, tuple[Issue, ...]]:
        """Return the book that the database holds and every issue, without accepting it."""
        manifest, issues, _ = self._rows(look)
        return manifest, issues

    def now(self) -> ServedBook:
        """Return the book that the database holds, without accepting it; the accepted one if it is away."""
        try:
            manifest, issues, content = self._rows()
        except MetaplatformError as trouble:
            if self._kept.accepted is None:
                raise
            return replace(self.serve(), trouble=trouble)
        if manifest is None:
            raise BookError(issues)
        return ServedBook(manifest, None, content)

    def content(self) -> str | None:
        """Return the key of the accepted book."""
        return self._kept.accepted

    def look(self) -> BookLook:
        """Accept what the database holds if that is sound."""
        manifest, issues, content = self._rows()
        if manifest is not None:
            self.accept(ServedBook(manifest, None, content))
        return BookLook(content, self._kept.accepted, errors_of(issues))

    def serve(self, pinned: str | None = None) -> ServedBook:
        """Return the pinned book, or the accepted one; the first is accepted now."""
        if not pinned and self._kept.accepted is None:
            self.accept(self.now())
        key = pinned or str(self._kept.accepted)
        return ServedBook(self._kept.open(key), key, key)

    def accept(self, now: ServedBook) -> None:
        """Keep the book, and let the deployment run from it."""
        if now.content != self._kept.accepted:
            self._kept.accept(self._kept.keep(now.content, now.manifest))

    def _rows(self, look: Look | None = None) -> tuple[Manifest | None, tuple[Issue, ...], str]:
        deployment = self._deployment
        manifest, issues, contents = database_behind(deployment.book_url_env, self._environment).read_manifest(
            deployment.book.parent, source_folders=deployment.source_folders, look=look
        )
        # Rows have no file and line that a link could open.
        return (replace(manifest, locations={}) if manifest else None), issues, contents.hash


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

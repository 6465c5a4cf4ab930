"""The source of a deployment's book, files or a database, as a resource of the sensor that watches it."""

import os
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from metaplatform.errors import Issue
from metaplatform.resources.book.book_snapshots import BookSnapshots
from metaplatform.resources.book.book_source import database_behind
from metaplatform.resources.book.compiled_books import compiled_key
from metaplatform.specs.loading import WrittenBook, read_written


@dataclass(frozen=True)
class BookLook:
    """What a look found: the hash of the source's content, what is accepted now, and why the content is refused."""

    hash: str
    accepted: str | None
    refused: tuple[Issue, ...] = ()


class DeployedBook(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The source of a deployment's book, and what is kept of it below the storage folder ``root``.

    ``book`` is the folder of the book's files, whose parent is where relative source paths start from;
    ``environment`` the overlay. Of a book in a database ``url_env`` names the environment variable that holds
    its URL; of one in files it is empty. ``source_folders`` are folders beside the project's that sources may read.
    """

    root: str
    book: str
    source_folders: list[str] = []  # noqa: RUF012  # pydantic's default, copied for each instance
    environment: str = ""
    url_env: str = ""

    def look(self, known: BookLook | None = None) -> BookLook:
        """Say what the source holds, and whether it is sound; what is sound in a database is accepted.

        Files that are as they were at the look that is ``known`` are not checked again.

        Raises:
            MetaplatformError: if the database cannot be read.
        """
        return self._look_at_database() if self.url_env else self._look_at_files(known)

    def _look_at_database(self) -> BookLook:
        snapshots = BookSnapshots(Path(self.root))
        manifest, issues, contents = database_behind(self.url_env).read_manifest(
            Path(self.book).parent, source_folders=self.source_folders
        )
        if manifest is None:
            return BookLook(contents.hash, snapshots.accepted(), _errors(issues))
        if contents.hash != snapshots.accepted():
            snapshots.accept(contents.hash, contents.snapshot)
        return BookLook(contents.hash, contents.hash)

    def _look_at_files(self, known: BookLook | None) -> BookLook:
        written = WrittenBook.read(Path(self.book), self.environment or None, self.source_folders)
        found = compiled_key(*written.texts())
        if known is not None and known.hash == found:
            return known
        manifest, issues = read_written(written, variables=os.environ)
        return BookLook(found, found) if manifest is not None else BookLook(found, None, _errors(issues))


def _errors(issues: tuple[Issue, ...]) -> tuple[Issue, ...]:
    return tuple(issue for issue in issues if issue.severity == "error")

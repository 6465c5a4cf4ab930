"""The database that a deployment's book is in, as a resource of its sensor."""

from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from metaplatform.errors import Issue
from metaplatform.resources.book_snapshots import BookSnapshots
from metaplatform.resources.book_source import database_behind


@dataclass(frozen=True)
class BookLook:
    """What a look found: the hash of the database's content, what is accepted now, and why the content is refused."""

    hash: str
    accepted: str | None
    refused: tuple[Issue, ...] = ()


class DeployedBook(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The database that a deployment's book is in, and its snapshots below the storage folder ``root``.

    ``project`` is the folder that relative source paths start from, ``url_env`` the environment variable
    that holds the database's URL.
    """

    root: str
    project: str
    url_env: str

    def look(self) -> BookLook:
        """Compare the database with the accepted snapshot, and accept what it holds if that is sound.

        Raises:
            MetaplatformError: if the database cannot be read.
        """
        snapshots = BookSnapshots(Path(self.root))
        manifest, issues, contents = database_behind(self.url_env).read_manifest(Path(self.project))
        if manifest is None:
            errors = tuple(issue for issue in issues if issue.severity == "error")
            return BookLook(contents.hash, snapshots.accepted(), errors)
        if contents.hash != snapshots.accepted():
            snapshots.accept(contents.hash, contents.snapshot)
        return BookLook(contents.hash, contents.hash)

"""The one place that asks where a deployment's book is: in files, or in a database."""

import os
from collections.abc import Mapping

from metaplatform.resources.book.book_source import BookSource
from metaplatform.resources.book.database_book import DatabaseBook
from metaplatform.resources.book.files_book import FilesBook
from metaplatform.specs.book.deployment import Deployment

_SOURCES: Mapping[str, type[BookSource]] = {"yaml": FilesBook, "sql": DatabaseBook}


def book_of(deployment: Deployment, environment: Mapping[str, str] = os.environ) -> BookSource:
    """Return the source of the deployment's book.

    ``environment`` holds the parameters of a book in files, or the URL of a database.
    """
    return _SOURCES[deployment.book_source](deployment, environment)

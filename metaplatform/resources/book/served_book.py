"""The book that a process builds its definitions from: a run's own, the one at its source, or the last good one."""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from metaplatform.errors import BookError, Issue, MetaplatformError
from metaplatform.naming import stable_id
from metaplatform.resources.book.book_source import load_compiled, load_deployed_book
from metaplatform.resources.book.compiled_books import CompiledBooks, compiled_key
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import WrittenBook
from metaplatform.text.moments import shown

_ISSUES_TOLD = 20


@dataclass(frozen=True)
class ServedBook:
    """A book, and what it is to those who are served it.

    ``pin`` is what a process that this one starts finds the very same book by, None if nothing is kept of it.
    ``content`` tells the source's content apart from others: what was loaded, or what was ``refused`` for the
    faults it has. Then the book is the last good one, which has been that since ``since``.
    """

    manifest: Manifest
    pin: str | None
    content: str
    refused: tuple[Issue, ...] = ()
    since: datetime | None = None


def serve_book(
    deployment: Deployment, *, pinned: str | None, live: bool, variables: Mapping[str, str] = os.environ
) -> ServedBook:
    """Return the book to build definitions from.

    ``pinned`` is the pin of the process that started this one, if it has started it for a run: the run keeps its
    book. ``live`` says that the loop depends on this process: faults in the files leave it the last good book.
    ``variables`` set the parameters of a book in files.

    Raises:
        BookError: with every fault, if the book is not sound and no good one is to be kept.
        MetaplatformError: if a database or its snapshot cannot be read.
    """
    if deployment.book_source == "sql":
        manifest, snapshot = load_deployed_book(deployment, snapshot=pinned, variables=variables)
        return ServedBook(manifest, snapshot, str(snapshot))
    if live:
        # Else the first book of a new root could not be kept.
        with suppress(OSError):
            deployment.root.mkdir(parents=True, exist_ok=True)
    compiled = CompiledBooks(deployment.root)
    if pinned:
        found = compiled.find(pinned, project=_project(deployment), variables=variables)
        if found is not None:
            return ServedBook(found, pinned, pinned)
        logging.getLogger(__name__).warning("the run's book %s is no longer kept: its files are read again", pinned)
    return _serve_files(deployment, compiled, variables, live=live)


def accept_served(deployment: Deployment, served: ServedBook) -> None:
    """Make a book that definitions were built of the last good one of its files."""
    if deployment.book_source == "yaml" and served.pin and not served.refused:
        CompiledBooks(deployment.root).accept(_origin(deployment), served.pin)


def _serve_files(
    deployment: Deployment, compiled: CompiledBooks, variables: Mapping[str, str], *, live: bool
) -> ServedBook:
    written = WrittenBook.read(deployment.book, deployment.environment, deployment.source_folders)
    key = compiled_key(*written.texts())
    try:
        manifest = load_compiled(written, key, compiled, variables)
    except BookError as error:
        kept = compiled.accepted(_origin(deployment), project=_project(deployment)) if live else None
        if kept is None:
            raise
        pin, manifest = kept
        since = compiled.accepted_since(_origin(deployment))
        refused = tuple(issue for issue in error.issues if issue.severity == "error")
        logging.getLogger(__name__).warning("%s", refusal(refused, since, manifest.timezone))
        return ServedBook(manifest, pin if compiled.holds(pin) else None, key, refused, since)
    return ServedBook(manifest, key if compiled.holds(key) else None, key)


def _project(deployment: Deployment) -> str:
    return str(deployment.book.resolve().parent)


def _origin(deployment: Deployment) -> str:
    """Return what tells one folder, and the overlay on it, from another; the same after root and folder have moved."""
    return stable_id(os.path.relpath(deployment.book.resolve(), deployment.root.resolve()), deployment.environment)


def refusal(issues: tuple[Issue, ...], since: datetime | None, zone: str) -> MetaplatformError:
    """Return the error that tells people of faults in whose place the last good book is served.

    ``since`` is when that was found, told by the clock of ``zone``.
    """
    more = len(issues) - _ISSUES_TOLD
    lines = [*map(str, issues[:_ISSUES_TOLD]), *([f"and {more} more"] if more > 0 else [])]
    moment = f" (since {shown(since, zone)})" if since else ""
    return MetaplatformError(
        owner="book",
        culprit="\n".join((f"an edit is refused, the last good book{moment} runs on", *lines)),
        fix="correct the lines above; the sensor `book` then takes the edit",
    )

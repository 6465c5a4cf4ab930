"""Has the live code location take the book that is applied: two books must never be at work on one root."""

import time
from collections.abc import Callable

from metaplatform.errors import StorageError
from metaplatform.hosting.serving_record import ServingRecord
from metaplatform.resources.book.deployed_book import book_of
from metaplatform.resources.book.live_books import LiveBook, LiveBooks
from metaplatform.specs.book.deployment import Deployment

_RELOAD_SECONDS = 180
_POLL_SECONDS = 0.2


def take_book(deployment: Deployment, announce: Callable[[str], None], *, seconds: float = _RELOAD_SECONDS) -> None:
    """Have the code server that serves the root build its definitions from the book at its source, and wait for it.

    Nothing is done where none lives, or the one that does serves that book.

    Raises:
        StorageError: if it serves another book still after so many seconds.
    """
    wanted, books = book_of(deployment).content(), LiveBooks(deployment.root)
    serving = books.newest()
    if serving is None or serving.content == wanted:
        return
    announce("The code location takes the book as it is now")
    _ask_to_reload(deployment)
    deadline = time.monotonic() + seconds
    while serving is not None and serving.content != wanted:
        if time.monotonic() > deadline:
            raise _refusal(serving)
        time.sleep(_POLL_SECONDS)
        serving = books.newest()


def _ask_to_reload(deployment: Deployment) -> None:
    """Ask the code servers of `metaplatform ui`; others are reloaded by a person, or make new ones by themselves."""
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    record = ServingRecord.read(deployment.root)
    for address in record.code_servers if record is not None and record.lives else ():
        try:
            DagsterGrpcClient(socket=address.removeprefix("unix:")).reload_code(_RELOAD_SECONDS)
        except DagsterUserCodeUnreachableError as error:
            raise StorageError(
                owner="apply", culprit=f"the code server does not answer: {error}", fix="wait, then apply again"
            ) from error


def _refusal(serving: LiveBook) -> StorageError:
    return StorageError(
        owner="apply",
        culprit=f"the code server (process {serving.pid}) serves another book than the one that is applied",
        fix="reload the code location in Dagster (Deployment, Reload), then apply again",
    )

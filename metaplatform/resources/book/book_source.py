"""Where a deployment's book comes from: what stands there now, what of it is served, and how an edit is taken."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from metaplatform.errors import Issue, MetaplatformError
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Look
from metaplatform.text.moments import shown

_ISSUES_TOLD = 20


@dataclass(frozen=True)
class ServedBook:
    """A book, and what it is to those who are served it.

    ``pin`` is what a process that this one starts finds the very same book by, None if nothing is kept of it.
    ``content`` tells the source's content apart from others: what was loaded, or what was ``refused`` for the
    faults it has. Then the book is the last good one, which has been that since ``since``. It is the accepted one
    too where ``trouble`` kept from looking at the source.
    """

    manifest: Manifest
    pin: str | None
    content: str
    refused: tuple[Issue, ...] = ()
    since: datetime | None = None
    trouble: MetaplatformError | None = None


@dataclass(frozen=True)
class BookLook:
    """What a look found: what the source holds, and why that is refused.

    ``accepted`` is the content of the book that a new code server is to serve, None if a fault leaves that open.
    """

    content: str
    accepted: str | None
    refused: tuple[Issue, ...] = ()


class BookSource(ABC):
    """The one source of truth of a deployment's book; a class per kind.

    What returns a book raises ``BookError``, with every fault, if it is not sound, and whatever asks a source raises
    ``MetaplatformError`` if it cannot be read.
    """

    takes_edits: ClassVar[bool]
    """Whether a sound edit is taken by itself; otherwise it waits for a reload."""

    def __init__(self, deployment: Deployment, environment: Mapping[str, str] = os.environ) -> None:
        """Take the deployment, and the variables with the parameters of files or the URL of a database."""
        self._deployment, self._environment = deployment, environment

    @abstractmethod
    def read(self, look: Look | None = None) -> tuple[Manifest | None, tuple[Issue, ...]]:
        """Return the book at its source, or None if there are errors; and every issue, as found out now.

        ``look`` says what the sources' files hold.
        """

    @abstractmethod
    def now(self) -> ServedBook:
        """Return the book at its source; if that is away, the accepted one, if there is one."""

    @abstractmethod
    def content(self) -> str | None:
        """Return the content of the book that a code server which starts now is to serve; None before any."""

    @abstractmethod
    def look(self) -> BookLook:
        """Return what the source holds, and whether it is sound, for the loop to take or refuse."""

    @abstractmethod
    def serve(self, pinned: str | None = None) -> ServedBook:
        """Return the book to build definitions from: a run keeps the one ``pinned`` by the process that started it."""

    def serve_live(self) -> ServedBook:
        """Return the book to build a live code server's definitions from: the last good one rather than none."""
        return self.serve()

    def accept(self, now: ServedBook) -> None:  # noqa: B027  # another kind has nothing to do here
        """Let the deployment run from the book as it is :meth:`now`, because somebody said so."""

    def built(self, served: ServedBook) -> None:  # noqa: B027
        """Take notice that a live code server has built its definitions of the book."""


def errors_of(issues: tuple[Issue, ...]) -> tuple[Issue, ...]:
    """Return those issues for which a book is refused."""
    return tuple(issue for issue in issues if issue.severity == "error")


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

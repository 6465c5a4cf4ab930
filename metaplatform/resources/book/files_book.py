"""A book in YAML files: an edit waits for a reload, and the last good book stands in for files that have faults."""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress

from metaplatform import places
from metaplatform.errors import BookError, Issue, MetaplatformError
from metaplatform.naming import stable_id
from metaplatform.resources.book.book_source import BookLook, BookSource, ServedBook, errors_of, refusal
from metaplatform.resources.book.kept_books import KeptBooks, made_from
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Look
from metaplatform.specs.compiled import AskedVariables
from metaplatform.specs.loading import WrittenBook, load_written, read_written


class FilesBook(BookSource):
    """The files of a folder, and the overlay on them; its accepted book is what a code server was last built of."""

    takes_edits = False

    def __init__(self, deployment: Deployment, environment: Mapping[str, str] = os.environ) -> None:
        """Take the deployment, and the variables that set the book's parameters."""
        super().__init__(deployment, environment)
        # The same after root and folder have moved together.
        folder = os.path.relpath(deployment.book.resolve(), deployment.root.resolve())
        origin = stable_id(folder, deployment.environment)
        self._kept = KeptBooks(deployment, origin, former=f"{places.COMPILED}/{origin}.accepted")
        self._looked = BookLook("", None)

    def read(self, look: Look | None = None) -> tuple[Manifest | None, tuple[Issue, ...]]:
        """Return the book of the files and every issue; what is kept is not asked."""
        return read_written(self._written(), variables=self._environment, look=look)

    def now(self) -> ServedBook:
        """Return the book of the files."""
        return self.serve()

    def content(self) -> str:
        """Return what tells the files, as they are, from others."""
        return made_from(*self._written().texts())

    def look(self) -> BookLook:
        """Check the files, unless they are as they were at the last look or when they were served."""
        written = self._written()
        content = made_from(*written.texts())
        if content != self._looked.content:
            manifest, issues = read_written(written, variables=self._environment)
            self._looked = BookLook(content, content if manifest else None, errors_of(issues))
        return self._looked

    def serve(self, pinned: str | None = None) -> ServedBook:
        """Return the pinned book; that of the files if there is none, or it is no longer kept."""
        if pinned:
            with suppress(MetaplatformError):
                return ServedBook(self._kept.open(pinned), pinned, pinned)
            logging.getLogger(__name__).warning("the run's book %s is no longer kept: its files are read again", pinned)
        return self._serve(self._written())

    def serve_live(self) -> ServedBook:
        """Return the book of the files, or the last good one if they have faults."""
        # Else the first book of a new root could not be kept.
        with suppress(OSError):
            self._deployment.root.mkdir(parents=True, exist_ok=True)
        written = self._written()
        try:
            served = self._serve(written)
        except BookError as error:
            good = self._last_good(made_from(*written.texts()), errors_of(error.issues))
            if good is None:
                raise
            served = good
        self._looked = BookLook(served.content, None if served.refused else served.content, served.refused)
        return served

    def built(self, served: ServedBook) -> None:
        """Make a book that definitions were built of the last good one."""
        if served.pin and not served.refused:
            with suppress(OSError):
                self._kept.accept(served.pin)

    def _written(self) -> WrittenBook:
        deployment = self._deployment
        return WrittenBook.read(deployment.book, deployment.environment, deployment.source_folders)

    def _serve(self, written: WrittenBook) -> ServedBook:
        """Return the book of the files: as it is kept, or checked and compiled now."""
        content = made_from(*written.texts())
        found = self._kept.find(content, self._environment)
        if found is not None:
            return ServedBook(found[1], found[0], content)
        asked = AskedVariables(self._environment)
        manifest = load_written(written, variables=asked)
        return ServedBook(manifest, self._keep(content, manifest, asked), content)

    def _keep(self, content: str, manifest: Manifest, asked: AskedVariables) -> str | None:
        """Keep the book if it can be kept at all, below a root that is there: the next load is quicker, no more."""
        if self._deployment.root.is_dir():
            with suppress(OSError, MetaplatformError):
                pin = self._kept.keep(content, manifest, asked.digests)
                self._kept.drop_old()
                return pin
        return None

    def _last_good(self, content: str, refused: tuple[Issue, ...]) -> ServedBook | None:
        with suppress(OSError, MetaplatformError):
            accepted, since = self._kept.accepted, self._kept.accepted_since
            if accepted is not None:
                manifest = self._kept.open(accepted)
                logging.getLogger(__name__).warning("%s", refusal(refused, since, manifest.timezone))
                return ServedBook(manifest, accepted, content, refused, since)
        return None

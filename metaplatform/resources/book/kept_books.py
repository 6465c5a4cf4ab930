"""Books kept below the storage root: each loads again as it was, and one of them can be the accepted one."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType

import pydantic
import sqlglot

from metaplatform import places, specs
from metaplatform.errors import BookError, StorageError
from metaplatform.extensions import fingerprint
from metaplatform.naming import stable_id
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.compiled import CompiledBook

_CHECKING = ("chapters.py", "errors.py", "extensions.py", "naming.py", "places.py", "specs", "sql", "text")
"""The code that reads and checks a book, below the package."""
_KEPT = 8
"""So many books of files are kept: an edit and its undoing must not compile each time."""
_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)


class KeptBooks:
    """The sound books of one origin, each in a file named by what it was made from, and which of them is accepted.

    A file holds the book's snapshot and what was compiled of it: that counts for the code that checked it.
    """

    def __init__(self, deployment: Deployment, origin: str, *, former: str) -> None:
        """Take what tells the origin's books from others of the deployment's storage root.

        ``former`` is the file below the root that earlier releases kept the accepted book's key in.
        """
        self._root, self._folder = deployment.root, deployment.root / places.KEPT / origin
        self._pointers = (self._folder / "accepted", deployment.root / former)
        self._project = str(deployment.book.resolve().parent)
        self._source_folders = deployment.source_folders
        self._checker = made_from(self._source_folders)

    @property
    def accepted(self) -> str | None:
        """Return the key of the accepted book, None if there is none yet."""
        for path in self._pointers:
            with suppress(FileNotFoundError):
                if key := path.read_text(encoding="utf-8", errors="replace").strip():
                    return key
        return None

    @property
    def accepted_since(self) -> datetime | None:
        """Return the moment, in UTC, since when the accepted book is that."""
        for path in self._pointers:
            with suppress(OSError):
                return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
        return None

    def accept(self, key: str) -> None:
        """Make the book under ``key`` the accepted one.

        Raises:
            OSError: if that cannot be written.
        """
        if self.accepted != key:
            pointer, former = self._pointers
            write_whole(pointer, f"{key}\n".encode(), folders=True)
            former.unlink(missing_ok=True)

    def keep(self, content: str, manifest: Manifest, variables: Mapping[str, str] = _NO_VARIABLES) -> str:
        """Keep a sound book that was made from ``content``; return the key to open it by.

        ``variables`` are digests of those that its parameters were read from.

        Raises:
            OSError: if it cannot be written.
            StorageError: if another book would come back; nothing is written then.
        """
        key = content + (stable_id(*variables.items()) if variables else "")
        self._write(key, manifest, variables)
        return key

    def find(self, content: str, variables: Mapping[str, str]) -> tuple[str, Manifest] | None:
        """Return the book that was made from ``content`` with the same ``variables``, and its key.

        None if none is kept, or this code has not checked it. A file that is damaged counts as none.
        """
        for path in self._folder.glob(f"{content}*.json"):
            with suppress(*_DAMAGE):
                compiled = CompiledBook(**json.loads(path.read_bytes()))
                if compiled.checked_by == self._checker and compiled.fits(variables):
                    return path.stem, self._manifest(path, compiled)
        return None

    def open(self, key: str) -> Manifest:
        """Return the book that is kept under ``key``; the rules are asked again if other code has checked it.

        Raises:
            BookError: if they refuse it, with every fault.
            StorageError: if it is not there, or damaged.
        """
        try:
            compiled = self._read(key)
            if compiled.checked_by == self._checker:
                return self._manifest(self._path(key), compiled)
            manifest, issues = compiled.checked(self._project, self._source_folders, origin=f"book snapshot {key}")
        except _DAMAGE as error:
            pointer = next((path for path in self._pointers if path.exists()), self._folder)
            raise StorageError(
                owner="book snapshot",
                culprit=f"{key} cannot be read ({type(error).__name__})",
                fix=f"delete {pointer}: the next load takes the book from its source",
            ) from error
        if manifest is None:
            raise BookError(issues)
        with suppress(OSError, StorageError):
            self._write(key, manifest, compiled.variables)
        return manifest

    def drop_old(self) -> None:
        """Leave the newest books, those in use, and the accepted one."""
        with suppress(OSError):
            files = [path for path in self._folder.glob("*.json") if path.stem != self.accepted]
            for path in sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)[_KEPT:]:
                path.unlink(missing_ok=True)

    def _manifest(self, path: Path, compiled: CompiledBook) -> Manifest:
        manifest = compiled.manifest(self._project, self._source_folders)
        # What is in use is not among the oldest: a run finds its book after many edits.
        with suppress(OSError):
            path.touch()
        return manifest

    def _write(self, key: str, manifest: Manifest, variables: Mapping[str, str]) -> None:
        text = json.dumps(vars(CompiledBook.of(manifest, variables, checked_by=self._checker)))
        if CompiledBook(**json.loads(text)).manifest(self._project, self._source_folders) != manifest:
            raise StorageError(owner="book snapshot", culprit=f"{key} would come back as another book", fix="report it")
        write_whole(self._path(key), text.encode(), folders=True)

    def _read(self, key: str) -> CompiledBook:
        path = self._path(key)
        # Earlier releases kept a compiled book of files elsewhere, and of a database's the bare snapshot.
        for found in (path, self._root / places.COMPILED / path.name):
            with suppress(FileNotFoundError):
                return CompiledBook(**json.loads(found.read_bytes()))
        return CompiledBook(dict(json.loads((self._root / places.SNAPSHOTS / path.name).read_bytes())))

    def _path(self, key: str) -> Path:
        if not key.isalnum():
            raise ValueError(f"'{key}' is not a hash")
        return self._folder / f"{key}.json"


def made_from(*parts: Iterable[str]) -> str:
    """Return 64 hex digits that depend on ``parts``, each text and its place, and on the code that checks books."""
    texts = [list(part) for part in (compiler(), *parts)]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


@cache
def compiler() -> tuple[str, ...]:
    """Return what tells one state of the code that checks books from another: its files, and its libraries."""
    package = Path(specs.__file__).parents[1]
    parts = [package / part for part in _CHECKING]
    files = sorted(file for part in parts for file in (part, *part.rglob("*.py")) if file.suffix == ".py")
    found = [(path, path.stat()) for path in files]
    return (
        sys.version,
        *fingerprint(),
        pydantic.VERSION,
        sqlglot.__version__,  # type: ignore[attr-defined]
        *(f"{path.relative_to(package)} {stat.st_size} {stat.st_mtime_ns}" for path, stat in found),
    )

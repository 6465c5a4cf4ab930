"""Compiled books below the storage root: what loads a sound book again without checking it again.

One of them can be accepted: the last good one of a folder, for the time when its files no longer are a book.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pydantic
import sqlglot

from metaplatform import places, specs
from metaplatform.extensions import fingerprint
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.compiled import AskedVariables, compiled_book, manifest_of_compiled
from metaplatform.specs.rules import check_book

_CHECKING = ("errors.py", "extensions.py", "naming.py", "specs", "sql", "text")
"""The code that reads and checks a book, below the package."""
_KEPT = 8
"""So many compiled books are kept: two overlays, an edit and its undoing must not compile each time."""


class CompiledBooks:
    """Compiled books by a key made of all they were compiled from, except variables, and of the compiler."""

    def __init__(self, root: Path) -> None:
        """Take the storage root; nothing is kept below one that is not there."""
        self._root = root
        self._folder = root / places.COMPILED

    def find(self, key: str, *, project: str, variables: Mapping[str, str]) -> Manifest | None:
        """Return the manifest compiled under ``key`` with the same ``variables``, or None.

        ``project`` is the folder that relative source paths start from. A file that is damaged counts as none.
        """
        found = self._read(key, project=project, variables=variables)
        if found is not None:
            # What is in use is not among the oldest: a run finds its book after many edits.
            with suppress(OSError):
                self._path(key).touch()
        return found

    def keep(self, key: str, manifest: Manifest, variables: AskedVariables) -> None:
        """Keep a sound manifest under ``key``, if it can be kept at all: the next load then is quicker, no more."""
        if not self._root.is_dir():
            return
        compiled = json.loads(json.dumps(compiled_book(manifest, variables.digests)))
        if manifest_of_compiled(compiled, root=manifest.root, variables=variables) != manifest:
            return
        try:
            write_whole(self._path(key), json.dumps(compiled).encode(), folders=True)
            self._drop_old()
        except OSError:
            return

    def holds(self, key: str) -> bool:
        """Return whether a book is kept under ``key``."""
        return self._path(key).is_file()

    def accept(self, origin: str, key: str) -> None:
        """Make the book under ``key`` the last good one of ``origin`` (hex digits), if that can be written."""
        if self._accepted_key(origin) == key or not self.holds(key):
            return
        with suppress(OSError):
            write_whole(self._pointer(origin), f"{key}\n".encode())

    def accepted(self, origin: str, *, project: str) -> tuple[str, Manifest] | None:
        """Return the last good book of ``origin`` and the key it is kept under, or None if there is none.

        It keeps the values that its parameters had. The rules are asked once by the code as it is now: a book that
        an upgrade of the platform refuses is not a good one.
        """
        accepted = self._accepted_key(origin)
        if accepted is None:
            return None
        key = compiled_key(["accepted", accepted])
        manifest = self.find(key, project=project, variables={})
        if manifest is None:
            manifest = self._read(accepted, project=project, variables=None)
            if manifest is None or any(issue.severity == "error" for issue in check_book(manifest)):
                return None
            manifest = replace(manifest, known_hashes={})
            self.keep(key, manifest, AskedVariables({}))
        return key, manifest

    def accepted_since(self, origin: str) -> datetime | None:
        """Return the moment, in UTC, since when the last good book of ``origin`` is that."""
        try:
            return datetime.fromtimestamp(self._pointer(origin).stat().st_mtime, tz=UTC)
        except OSError:
            return None

    def _read(self, key: str, *, project: str, variables: Mapping[str, str] | None) -> Manifest | None:
        try:
            compiled = json.loads(self._path(key).read_bytes())
            if variables is None:
                compiled = {**compiled, "variables": {}}
            return manifest_of_compiled(compiled, root=project, variables=variables or {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _accepted_key(self, origin: str) -> str | None:
        try:
            key = self._pointer(origin).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return None
        return key if key.isalnum() else None

    def _drop_old(self) -> None:
        accepted = {self._accepted_key(path.stem) for path in self._folder.glob("*.accepted")}
        files = (path for path in self._folder.glob("*.json") if path.stem not in accepted)
        found = sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in found[_KEPT:]:
            path.unlink(missing_ok=True)

    def _pointer(self, origin: str) -> Path:
        return self._folder / f"{origin}.accepted"

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def compiled_key(*parts: Iterable[str]) -> str:
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

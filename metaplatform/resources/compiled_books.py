"""Compiled books below the storage root: what loads a sound book again without checking it again."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pydantic
import sqlglot

from metaplatform import specs
from metaplatform.resources.file_writing import write_whole
from metaplatform.specs.compiled import AskedVariables, compiled_book, manifest_of_compiled
from metaplatform.specs.manifest import Manifest

_KEPT = 8
"""So many compiled books are kept: two overlays, an edit and its undoing must not compile each time."""


class CompiledBooks:
    """Compiled books by a key that hangs on all they were compiled from, but for variables, and on the compiler."""

    def __init__(self, root: Path) -> None:
        """Take the storage root; nothing is kept below one that is not there."""
        self._root = root
        self._folder = root / "book" / "compiled"

    def find(self, key: str, *, project: str, variables: Mapping[str, str]) -> Manifest | None:
        """Return the manifest compiled under ``key`` with the same ``variables``, or None.

        ``project`` is the folder that relative source paths start from. A file that is damaged counts as none.
        """
        try:
            compiled = json.loads(self._path(key).read_bytes())
            return manifest_of_compiled(compiled, root=project, variables=variables)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

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

    def _drop_old(self) -> None:
        found = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in found[_KEPT:]:
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def compiled_key(*parts: Iterable[str]) -> str:
    """Return 64 hex digits that hang on ``parts``, each text and its place, and on the code that checks books."""
    texts = [list(part) for part in (compiler(), *parts)]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


@cache
def compiler() -> tuple[str, ...]:
    """Return what tells one state of the code that checks books from another: its files, and its libraries."""
    folder = Path(specs.__file__).parent
    files = sorted(folder.rglob("*.py"))
    found = [(path, path.stat()) for path in files]
    return (
        sys.version,
        pydantic.VERSION,
        sqlglot.__version__,  # type: ignore[attr-defined]
        *(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}" for path, stat in found),
    )

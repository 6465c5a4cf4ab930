"""What leaves the warehouse for people and other systems: files, views and pages, each replaced as a whole."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import dagster as dg
import ibis

from metaplatform import places
from metaplatform.chapters import OUTPUTS
from metaplatform.errors import StorageError
from metaplatform.naming import stable_id
from metaplatform.resources.delta.delta_tables import storage_root
from metaplatform.resources.engine.session import FileKind, Session
from metaplatform.resources.engine.view_files import write_view_file
from metaplatform.specs.book.builds import Built
from metaplatform.specs.book.manifest import Manifest

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,127}")
_WHOLE = "all"


@dataclass(frozen=True)
class ExportedFile:
    """A file as it was written: its rows, and its bytes on disk."""

    path: Path
    rows: int
    bytes: int


@dataclass(frozen=True)
class ExportedPage:
    """A page as it was written; ``url`` is "" where nothing serves the pages."""

    path: Path
    url: str


class Exports(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Files below the storage folder ``root``; ``reports_url`` is where its folder ``reports`` is served, if it is.

    Who reads a file while it is replaced sees the old one whole or the new one whole.
    """

    root: str
    reports_url: str = ""

    def write_file(
        self, session: Session, rows: ibis.Table, *, output: str, partition: str | None, kind: FileKind
    ) -> ExportedFile:
        """Write ``rows`` to ``exports/<output>/<partition>.<kind>`` (``all`` where there are no partitions).

        Raises:
            DataError: if a row makes the computation fail.
            StorageError: if the file cannot be written.
        """
        path = self.file(output, partition, kind)
        with replacing(path) as temporary:
            written = session.export(rows, temporary, kind=kind, owner=OUTPUTS.ref(output))
        return ExportedFile(path, written, path.stat().st_size)

    def file(self, output: str, partition: str | None, ending: str) -> Path:
        """Return the place of an output's file of a partition.

        Raises:
            StorageError: if one of the names cannot be that of a file.
        """
        folder = storage_root(self.root) / places.EXPORTS / _checked(output)
        return folder / f"{_checked(partition or _WHOLE)}.{ending}"

    def write_views(self, tables: Mapping[str, Path]) -> Path:
        """Make ``warehouse.duckdb`` again: a view for each table (reference → folder); return its path.

        Views read the tables as they are when asked, for as long as the file stands.

        Raises:
            StorageError: if a table cannot be read, or the file cannot be written.
        """
        path = storage_root(self.root) / places.VIEWS
        with replacing(path) as temporary:
            write_view_file(temporary, tables, owner=places.VIEWS)
        return path

    def write_report(self, html: str, *, name: str, partition: str | None) -> ExportedPage:
        """Write a page to ``reports/<name>/<partition>.html`` (``all`` where there are no partitions).

        Raises:
            StorageError: if the file cannot be written.
        """
        place = f"{_checked(name)}/{_checked(partition or _WHOLE)}.html"
        path = storage_root(self.root) / places.REPORTS / place
        with replacing(path) as temporary:
            temporary.write_text(html, encoding="utf-8")
        return ExportedPage(path, f"{self.reports_url.rstrip('/')}/{quote(place)}" if self.reports_url else "")


def lost_files(manifest: Manifest, built: Mapping[str, Built], root: Path) -> dict[str, dict[str, str]]:
    """Return the partitions of outputs whose file is gone, by reference, each with an id of the run that wrote it.

    ``built`` are the records of what was made below storage root ``root``. Names alone are looked at.
    """
    found: dict[str, dict[str, str]] = {}
    for name, output in manifest.outputs.items():
        ref = OUTPUTS.ref(name)
        made, spec_hash = built.get(ref), manifest.spec_hash(ref)
        if made is None:
            continue
        if output.files is None:
            continue
        place, file_name = output.files
        folder = root / place
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        # What was made from another book may have had another place.
        lost = {
            key: stable_id("lost", partition.run_id)
            for key, partition in made.partitions.items()
            if partition.spec_hash == spec_hash and file_name.format(key or _WHOLE) not in names
        }
        if lost:
            found[ref] = lost
    return found


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place at the end, or is gone after an error.

    Raises:
        StorageError: if the file cannot be written.
    """
    temporary = path.parent / f".{path.name}.{uuid4().hex}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            for left in (temporary, temporary.with_name(f"{temporary.name}.wal")):
                left.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            owner=path.name, culprit=str(error), fix="check the storage root's space and rights"
        ) from error


def _checked(name: str) -> str:
    if not _FILE_NAME.fullmatch(name):
        raise StorageError(
            owner="exports", culprit=f"'{name}' is not a file name", fix="use letters, digits and _ . : + -"
        )
    return name

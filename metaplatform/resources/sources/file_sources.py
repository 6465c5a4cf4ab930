"""Sources whose rows are in files: found, opened, and read by their format."""

import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
from ibis.util import gen_name

from metaplatform.resources.engine.duckdb_connections import memory_connection
from metaplatform.resources.engine.session import Session
from metaplatform.resources.sources.file_formats import FileFormat
from metaplatform.resources.sources.file_looks import HEAD_BYTES, heads, look_at_files
from metaplatform.resources.sources.first_rows import ROWS, first_rows
from metaplatform.resources.sources.guessed_types import typed_by_values
from metaplatform.resources.sources.opened_files import OpenedFile, opened
from metaplatform.resources.sources.source_paths import find_files, looked_up, name_for_people
from metaplatform.resources.sources.source_reader import (
    Looking,
    Place,
    SampledRows,
    SourceRows,
    SourceState,
    said_by,
    unreadable,
)
from metaplatform.specs.book.source_looks import SourceLook
from metaplatform.specs.entities.ingestion import FileSource

_CELLS, _FEWEST_ROWS = 10_000_000, 1_000
"""Of a wide file fewer rows are sampled: so many values in all, but not fewer rows than that."""


class FileReader:
    """The reader of a kind whose files are of one format."""

    def __init__(self, form: FileFormat[Any]) -> None:
        """Take what knows the files."""
        self._form = form

    def state(self, spec: FileSource, place: Place) -> SourceState:
        """Return names, sizes and times of the files; none is opened.

        Raises:
            DataError: if there are none.
        """
        found = looked_up(find_files(spec, place.root, allowed=place.folders))
        marks = found.marks if self._form.apart(spec) else {}
        return SourceState(found.token, found.changed_at, tuple(found.marks), marks)

    def read(
        self, session: Session, spec: FileSource, place: Place, *, only: Collection[str] | None = None
    ) -> SourceRows:
        """Return the rows of the files, of some ``only`` if given; archives are unpacked into the session's folder.

        Parquet is read when its rows are asked for; text at once, into tables of the session.

        Raises:
            DataError: if files or columns are missing or cannot be read.
        """
        paths, backend = find_files(spec, place.root, allowed=place.folders), session.backend
        wanted = [path for path in paths if only is None or str(path) in only]
        files: Sequence[OpenedFile] = opened(wanted, spec, place.root, session.folder)
        with _readable(spec, files):
            files = self._form.prepared(spec, files, session.folder)
            read = self._form.read(backend.con, spec, files)
            rejects = None if read.rejects is None else backend.create_table(gen_name("rejects"), read.rejects)
            by_values = self._form.types == "text" and not spec.columns
            table = typed_by_values(backend.con, read.table, spec.written) if by_values else read.table
        parts = {file.name: str(file.origin) for file in files}
        alike = read.alike and not by_values
        return SourceRows(backend.table(table), rejects, _names(files), parts, read.kinds, alike)

    def look(self, spec: FileSource, place: Place, looking: Looking) -> SourceLook:
        """Return the columns of the files, and how their first rows fit the book.

        Raises:
            DataError: if there are no files, or one cannot be read.
        """
        files: list[OpenedFile] = []
        with _readable(spec, files):
            found = [*heads(spec, self._form, place, looking.folder)]
            files += self._form.prepared(spec, found, looking.folder, most=HEAD_BYTES)
            # A connection of its own: after some errors of DuckDB's, one cannot be used again.
            with memory_connection(looking.folder, threads=looking.threads) as connection:
                backend = ibis.duckdb.from_connection(connection)
                return look_at_files(backend, spec, self._form, files, looking.judge)

    def sample(
        self, connection: duckdb.DuckDBPyConnection, spec: FileSource, place: Place, folder: Path
    ) -> SampledRows:
        """Return the first rows of the first file and of the last.

        Raises:
            DataError: if there are no files, one cannot be read, or names no columns.
        """
        paths, form = find_files(spec, place.root, allowed=place.folders), self._form
        files: Sequence[OpenedFile] = opened(paths, spec, place.root, folder)
        with _readable(spec, files):
            files = form.prepared(spec, files, folder, most=HEAD_BYTES)
            held = form.held(files)
            ends = list(dict.fromkeys([held[0], held[-1]]))
            known = form.known(connection, spec, ends, looked_at=ROWS)
            for file in ends:
                form.refuse_unnamed(connection, spec, file, known.columns.get(file, ()))
            widest = max((len(columns) for columns in known.columns.values()), default=0) or 1
            rows = max(_FEWEST_ROWS, min(ROWS, _CELLS // widest))
            found = first_rows(connection, spec, form, known, ends, rows=rows)
            return SampledRows(
                found.table,
                name_for_people(paths[0], spec, place.root),
                whole=found.whole and len(ends) == len(held),
                inferred=form.types == "inferred",
                paths=paths,
                delimiter=known.delimiter,
                rejected=known.rejected(),
                not_everywhere=frozenset() if form.sparse else found.columns[0] ^ found.columns[-1],
            )


@contextmanager
def _readable(spec: FileSource, files: Sequence[OpenedFile]) -> Iterator[None]:
    """Raise what goes wrong with files as an error that names the source, and them as people know them."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError, ValueError, zipfile.BadZipFile, RuntimeError) as error:
        fix = "fix the file, or correct `kind` if it is of another"
        raise unreadable(spec, said_by(error), _names(files), fix) from error


def _names(files: Sequence[OpenedFile]) -> Mapping[str, str]:
    return {str(file.path): file.name for file in files}

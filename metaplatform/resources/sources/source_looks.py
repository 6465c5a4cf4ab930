"""Looks at source files without reading them whole: their columns, and how their first rows fit the book."""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import duckdb
import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend
from sqlglot import exp

from metaplatform.errors import DataError, MetaplatformError
from metaplatform.naming import stable_id
from metaplatform.resources.engine.duckdb_connections import memory_connection
from metaplatform.resources.sources.file_formats import spread
from metaplatform.resources.sources.first_rows import ROWS, first_rows
from metaplatform.resources.sources.formats import FORMATS
from metaplatform.resources.sources.guessed_types import typed_by_values
from metaplatform.resources.sources.opened_files import OpenedFile, literal, members_of
from metaplatform.resources.sources.row_moments import count_moments
from metaplatform.resources.sources.source_files import unreadable
from metaplatform.resources.sources.source_paths import find_files, name_for_people
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Looks, Misfit, SourceLook
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.entities.ingestion import FileSource
from metaplatform.specs.fields.file_endings import ARCHIVE

Judge = Callable[[ibis.Table, FileSource], tuple[Misfit, ...]]
"""Returns what of the rows would not fit their source."""
_FILES = 1_000
_MEMBERS = 64
_HEAD_BYTES = 4_000_000
_WHOLE_BYTES = 64_000_000
_COUNTED_BYTES = 256_000_000
"""Files of more bytes in all are not counted: that would take more than some seconds."""


@dataclass(frozen=True)
class Looking:
    """How files are looked at: from which folders, by whose judgement, with how many ``threads``."""

    project_root: str
    allowed: Sequence[str]
    judge: Judge
    threads: int


def look_at_sources(manifest: Manifest, *, judge: Judge, threads: int = 0) -> Looks:
    """Return what each source's files hold; a source that cannot be looked at has the fault instead.

    Columns are those of up to 1,000 files; rows are the first of up to eight files, :data:`ROWS` in all. Archives
    are unpacked as far as that needs, into a temporary folder; nothing else is written.
    """
    looking = Looking(manifest.root, manifest.source_folders, judge, threads)
    with TemporaryDirectory(prefix="metaplatform-") as folder:
        return {name: _look(spec, looking, Path(folder)) for name, spec in manifest.sources.items()}


def _look(spec: SourceSpec, looking: Looking, folder: Path) -> SourceLook:
    files: list[OpenedFile] = []
    try:
        files += _files(spec, looking, Path(folder, spec.name))
        # A connection of its own: after some errors of DuckDB's, one cannot be used again.
        with memory_connection(folder, threads=looking.threads) as connection:
            return _look_into(ibis.duckdb.from_connection(connection), spec, files, looking.judge)
    except MetaplatformError as error:
        return SourceLook(fault=(error.culprit, error.fix))
    except (duckdb.Error, pa.ArrowException, OSError, ValueError, zipfile.BadZipFile, RuntimeError) as error:
        told = unreadable(f"raw.{spec.name}", str(error), files)
        return SourceLook(fault=(told.culprit, told.fix))


def _files(spec: SourceSpec, looking: Looking, folder: Path) -> Iterator[OpenedFile]:
    """Yield the files to look at, heads of archived ones."""
    folder.mkdir(exist_ok=True)
    for path in find_files(spec, looking.project_root, allowed=looking.allowed)[:_FILES]:
        name = name_for_people(path, spec, looking.project_root)
        if path.suffix.lower() != ARCHIVE:
            yield OpenedFile(literal(path, folder), name, path)
            continue
        with zipfile.ZipFile(path) as archive:
            for number, member in enumerate(members_of(archive, spec, name)[:_MEMBERS]):
                target = folder / f"{stable_id(path)}-{number}{Path(member).suffix.lower()}"
                with archive.open(member) as packed:
                    head = _head(packed, member)
                if head is None:
                    continue
                target.write_bytes(head)
                yield OpenedFile(target, f"{name}/{member}", path)


def _head(packed: IO[bytes], member: str) -> bytes | None:
    """Return the first lines of a member, or the whole of what is not made of lines; None if that is too large."""
    if member.lower().endswith((".parquet", ".json")):
        data = packed.read(_WHOLE_BYTES + 1)
        return data if len(data) <= _WHOLE_BYTES else None
    data = packed.read(_HEAD_BYTES + 1)
    return data if len(data) <= _HEAD_BYTES else data[: data.rfind(b"\n") + 1]


def _look_into(backend: Backend, spec: SourceSpec, files: Sequence[OpenedFile], judge: Judge) -> SourceLook:
    if not files:
        return SourceLook()
    form = FORMATS.of(spec.kind)
    held = form.held(files)
    known = form.known(backend.con, spec, held, looked_at=ROWS)
    names = {file.name: found for file, found in known.columns.items()}
    if form.sparse:
        names = {spec.path: tuple(dict.fromkeys(name for found in names.values() for name in found))}
        sound = list(known.columns)
    else:
        sound = [file for file, found in known.columns.items() if _is_sound(found, spec)]
    if not sound or not all(_is_sound(found, spec) for found in ([*names.values()] if len(names) == 1 else [])):
        return SourceLook(headers=names)
    table = first_rows(backend.con, spec, form, known, spread(sound)).table
    if form.types == "text" and not spec.columns:
        table = typed_by_values(backend.con, table)
    _add_lacking(backend.con, spec, table, {found for header in names.values() for found in header})
    rows = backend.table(table)
    types = dict(zip(rows.columns, map(str, backend.con.table(table).types), strict=True))
    seen = int(backend.con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608  # a name of ours
    found = _misfits(judge, rows, spec) if seen else ()
    column = spec.event_timestamp
    moments: Mapping[datetime, int] = {}
    if column is not None and _are_counted(files) and (form.sparse or set(_filled(files)) <= set(sound)):
        moments = count_moments(backend.con, form.column(backend.con, spec, known, _filled(files), column), column)
    return SourceLook(names, types if not spec.columns else {}, found, seen, moments=moments)


def _are_counted(files: Sequence[OpenedFile]) -> bool:
    """Tell whether all rows can be counted: no file is left out, or not whole, or has too many bytes."""
    partly = len(files) == _FILES or any(file.origin.suffix.lower() == ARCHIVE for file in files)
    filled = _filled(files)
    return not partly and bool(filled) and sum(file.path.stat().st_size for file in filled) <= _COUNTED_BYTES


def _filled(files: Sequence[OpenedFile]) -> list[OpenedFile]:
    return [file for file in files if file.path.stat().st_size]


def _add_lacking(connection: duckdb.DuckDBPyConnection, spec: SourceSpec, table: str, somewhere: set[str]) -> None:
    """Add the declared columns that only files which were not looked at have, as nulls."""
    for name in somewhere.intersection(spec.columns).difference(connection.table(table).columns):
        column = exp.column(name, quoted=True).sql("duckdb")
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR")


def _is_sound(header: Sequence[str], spec: SourceSpec) -> bool:
    """Tell whether a file has every declared column (some, if the source evolves), and none twice."""
    full = spec.contract == "evolve" or set(spec.columns_of_files) <= set(header)
    return full and len({name.casefold() for name in header}) == len(header)


def _misfits(judge: Judge, rows: ibis.Table, spec: SourceSpec) -> tuple[Misfit, ...]:
    """Return what the ingestion of these rows would turn away."""
    try:
        return judge(rows, spec)
    except DataError:
        # A key, a moment or a derivation names a column that is not there: the rules say so, with its place.
        return ()

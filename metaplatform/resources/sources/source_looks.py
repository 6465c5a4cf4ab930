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
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.errors import DataError, MetaplatformError
from metaplatform.naming import stable_id
from metaplatform.resources.engine.duckdb_connections import memory_connection
from metaplatform.resources.sources.csv_files import csv_rows, read_header, with_content
from metaplatform.resources.sources.folder_columns import folder_values, with_folder_values
from metaplatform.resources.sources.guessed_types import typed_by_values
from metaplatform.resources.sources.json_files import as_inferred, json_columns, json_rows
from metaplatform.resources.sources.opened_files import OpenedFile, literal, members_of
from metaplatform.resources.sources.parquet_files import differing_columns, parquet_rows, parquet_schema
from metaplatform.resources.sources.row_moments import count_moments
from metaplatform.resources.sources.source_files import unreadable
from metaplatform.resources.sources.source_paths import find_files, name_for_people
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Looks, Misfit, SourceLook
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.entities.ingestion import CsvSource, FileSource, JsonSource, ParquetSource
from metaplatform.specs.fields.file_endings import ARCHIVE

Judge = Callable[[ibis.Table, FileSource], tuple[Misfit, ...]]
"""Returns what of the rows would not fit their source."""
ROWS = 20_000
"""So many rows of a source are looked at, at most."""
_FILES_WITH_ROWS = 8
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
    headers, read = _reader(backend.con, spec, files)
    names = {file.name: found for file, found in headers.items()}
    if isinstance(spec, JsonSource):
        # A key may be missing from any row, so what counts is all files together.
        names = {spec.path: tuple(dict.fromkeys(name for found in headers.values() for name in found))}
        sound = list(headers)
    else:
        sound = [file for file, found in headers.items() if _is_sound(found, spec)]
    chosen = _spread(sound, _FILES_WITH_ROWS)
    if not chosen or not all(_is_sound(found, spec) for found in ([*names.values()] if len(names) == 1 else [])):
        return SourceLook(headers=names)
    table = _rows_of(backend.con, spec, chosen, read)
    _add_lacking(backend.con, spec, table, {found for header in names.values() for found in header})
    rows = backend.table(table)
    types = dict(zip(rows.columns, map(str, backend.con.table(table).types), strict=True))
    seen = int(backend.con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608  # a name of ours
    found = _misfits(judge, rows, spec) if seen else ()
    moments = _moments(backend.con, spec, files, sound, read)
    return SourceLook(names, types if not spec.columns else {}, found, seen, moments=moments)


def _moments(
    connection: duckdb.DuckDBPyConnection,
    spec: SourceSpec,
    files: Sequence[OpenedFile],
    sound: Sequence[OpenedFile],
    read: "Reader",
) -> Mapping[datetime, int]:
    """Return all rows by their moments; none where files are left out, are not whole, or have too many bytes."""
    filled = {file: size for file in files if (size := file.path.stat().st_size)}
    partly = len(files) == _FILES or any(file.origin.suffix.lower() == ARCHIVE for file in files)
    if spec.event_timestamp is None or partly or not filled or sum(filled.values()) > _COUNTED_BYTES:
        return {}
    if isinstance(spec, JsonSource):
        rows = [json_rows(connection, spec, list(filled), {spec.event_timestamp: "VARCHAR"})]
    elif set(filled) <= set(sound):
        rows = [read(file) for file in filled]
    else:
        return {}
    return count_moments(connection, rows, spec.event_timestamp)


def _rows_of(
    connection: duckdb.DuckDBPyConnection, spec: SourceSpec, files: Sequence[OpenedFile], read: "Reader"
) -> str:
    """Return the name of a table of the first rows of the files, undeclared columns typed by their values."""
    parts = []
    for file in files:
        parts.append(gen_name("part"))
        rows = with_folder_values(read(file).limit(ROWS // len(files)), folder_values(file.origin, spec))
        rows.create(parts[-1])
    table = gen_name("looked_at")
    union = " UNION ALL BY NAME ".join(f"FROM {part}" for part in parts)
    connection.execute(f"CREATE TABLE {table} AS {union}")
    match spec:
        case CsvSource():
            return table if spec.columns else typed_by_values(connection, table)
        case JsonSource():
            return as_inferred(connection, table, spec, json_columns(connection, files, sample_size=ROWS))
        case ParquetSource():
            return table
        case _:
            raise TypeError(spec.kind)


def _add_lacking(connection: duckdb.DuckDBPyConnection, spec: SourceSpec, table: str, somewhere: set[str]) -> None:
    """Add the declared columns that only files which were not looked at have, as nulls."""
    for name in somewhere.intersection(spec.columns).difference(connection.table(table).columns):
        column = exp.column(name, quoted=True).sql("duckdb")
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR")


Reader = Callable[[OpenedFile], duckdb.DuckDBPyRelation]


def _reader(
    connection: duckdb.DuckDBPyConnection, spec: SourceSpec, files: Sequence[OpenedFile]
) -> tuple[dict[OpenedFile, tuple[str, ...]], Reader]:
    """Return the column names of each file, and what reads one file's rows."""
    match spec:
        case CsvSource():
            return _csv_reader(connection, spec, files)
        case JsonSource():
            return _json_reader(connection, spec, files)
        case ParquetSource():
            return _parquet_reader(connection, spec, files)
        case _:
            raise TypeError(spec.kind)


def _csv_reader(
    connection: duckdb.DuckDBPyConnection, spec: CsvSource, files: Sequence[OpenedFile]
) -> tuple[dict[OpenedFile, tuple[str, ...]], Reader]:
    heads = {file: read_header(connection, file, spec) for file in with_content(files)}

    def read(file: OpenedFile) -> duckdb.DuckDBPyRelation:
        delimiter, header = heads[file]
        return csv_rows(connection, spec, [file], delimiter=delimiter, header=header, rejects=gen_name("rejects"))

    return {file: header for file, (_, header) in heads.items()}, read


def _json_reader(
    connection: duckdb.DuckDBPyConnection, spec: JsonSource, files: Sequence[OpenedFile]
) -> tuple[dict[OpenedFile, tuple[str, ...]], Reader]:
    types = {file: json_columns(connection, [file], sample_size=ROWS) for file in _spread(files, _FILES_WITH_ROWS)}
    filled = {file: found for file, found in types.items() if found != {"json": "JSON"}}
    # Of files without a row nothing can be said.
    headers = {file: tuple(found) for file, found in filled.items()} or dict.fromkeys(
        files, tuple(spec.columns_of_files)
    )

    def read(file: OpenedFile) -> duckdb.DuckDBPyRelation:
        return json_rows(connection, spec, [file], filled.get(file) or dict.fromkeys(headers[file], "VARCHAR"))

    return headers, read


def _parquet_reader(
    connection: duckdb.DuckDBPyConnection, spec: ParquetSource, files: Sequence[OpenedFile]
) -> tuple[dict[OpenedFile, tuple[str, ...]], Reader]:
    schemas = {file: parquet_schema(file, spec) for file in files}
    differing = list(differing_columns({file.name: schema for file, schema in schemas.items()}, spec))

    def read(file: OpenedFile) -> duckdb.DuckDBPyRelation:
        return parquet_rows(connection, [file], as_text=differing)

    return {file: tuple(schema.names) for file, schema in schemas.items()}, read


def _is_sound(header: Sequence[str], spec: SourceSpec) -> bool:
    """Tell whether a file has every declared column (some, if the source evolves), and none twice."""
    full = spec.contract == "evolve" or set(spec.columns_of_files) <= set(header)
    return full and len({name.casefold() for name in header}) == len(header)


def _spread(files: Sequence[OpenedFile], count: int) -> list[OpenedFile]:
    """Return up to ``count`` of the files, the first, the last and others evenly between."""
    if len(files) <= count:
        return list(files)
    return [files[round(index * (len(files) - 1) / (count - 1))] for index in range(count)]


def _misfits(judge: Judge, rows: ibis.Table, spec: SourceSpec) -> tuple[Misfit, ...]:
    """Return what the ingestion of these rows would turn away."""
    try:
        return judge(rows, spec)
    except DataError:
        # A key, a moment or a derivation names a column that is not there: the rules say so, with its place.
        return ()

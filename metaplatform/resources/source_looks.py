"""Looks at source files without reading them whole: their columns, and how their first rows fit the book."""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend
from sqlglot import exp

from metaplatform.errors import DataError, MetaplatformError
from metaplatform.resources.csv_files import read_header, untyped_as_text, with_content
from metaplatform.resources.duckdb_connections import memory_connection
from metaplatform.resources.source_files import find_files, members_of
from metaplatform.specs.ingestion import CsvSource, FileSource, JsonSource
from metaplatform.specs.source_looks import Looks, Misfit, SourceLook

Judge = Callable[[ibis.Table, FileSource], ibis.Table]
"""Returns the rows that do not fit their source, each with its reason in the last column."""
ROWS = 20_000
"""So many rows of a source are looked at, at most."""
_FILES_WITH_ROWS = 8
_FILES = 1_000
_MEMBERS = 64
_HEAD_BYTES = 4_000_000
_WHOLE_BYTES = 64_000_000
_QUOTE = '"'


def look_at_sources(sources: Mapping[str, FileSource], project_root: str, *, judge: Judge, threads: int = 0) -> Looks:
    """Return what each source's files hold; a source that cannot be looked at has the fault instead.

    Columns are those of up to 1,000 files; rows are the first of up to eight files, :data:`ROWS` in all. Archives
    are unpacked as far as that needs, into a temporary folder; nothing else is written.
    """
    with TemporaryDirectory(prefix="metaplatform-") as folder:
        return {name: _look(spec, project_root, Path(folder), judge, threads) for name, spec in sources.items()}


def _look(spec: FileSource, project_root: str, folder: Path, judge: Judge, threads: int) -> SourceLook:
    try:
        labels = dict(_files(spec, project_root, Path(folder, spec.name)))
        # A connection of its own: after some errors of DuckDB's, one cannot be used again.
        with memory_connection(folder, threads=threads) as connection:
            return _look_into(ibis.duckdb.from_connection(connection), spec, labels, judge)
    except MetaplatformError as error:
        return SourceLook(fault=(error.culprit, error.fix))
    except (duckdb.Error, pa.ArrowException, OSError, ValueError, zipfile.BadZipFile, RuntimeError) as error:
        text = " ".join(str(error).split("\n\nLINE ", maxsplit=1)[0].split())[:400]
        return SourceLook(fault=(text, "correct `path` or `kind`, or mend the file"))


def _files(spec: FileSource, project_root: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files to look at, heads of archived ones, each with its name for people."""
    root = Path(project_root).absolute()
    for path in find_files(spec, project_root)[:_FILES]:
        label = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        if path.suffix.lower() != ".zip":
            yield path, label
            continue
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(path) as archive:
            if not members_of(archive, spec):
                raise DataError(owner=spec.name, culprit=f"{label} holds no such file", fix="correct `path` or `kind`")
            for number, member in enumerate(members_of(archive, spec)[:_MEMBERS]):
                target = folder / f"{label.replace('/', '_')[-80:]}-{number}{Path(member).suffix.lower()}"
                with archive.open(member) as packed:
                    head = _head(packed, member)
                if head is None:
                    continue
                target.write_bytes(head)
                yield target, f"{label}/{member}"


def _head(packed: IO[bytes], member: str) -> bytes | None:
    """Return the first lines of a member, or the whole of what is not made of lines; None if that is too large."""
    if member.lower().endswith((".parquet", ".json")):
        data = packed.read(_WHOLE_BYTES + 1)
        return data if len(data) <= _WHOLE_BYTES else None
    data = packed.read(_HEAD_BYTES + 1)
    return data if len(data) <= _HEAD_BYTES else data[: data.rfind(b"\n") + 1]


def _look_into(backend: Backend, spec: FileSource, labels: Mapping[Path, str], judge: Judge) -> SourceLook:
    if not labels:
        return SourceLook()
    headers, read = _reader(backend.con, spec, labels)
    names = {labels[path]: found for path, found in headers.items()}
    if isinstance(spec, JsonSource):
        # A key may be missing from any row, so what counts is all files together.
        names = {spec.path: tuple(dict.fromkeys(name for found in headers.values() for name in found))}
        sound = list(headers)
    else:
        sound = [path for path, found in headers.items() if _is_sound(found, spec)]
    chosen = _spread(sound, _FILES_WITH_ROWS)
    if not chosen or not all(_is_sound(found, spec) for found in ([*names.values()] if len(names) == 1 else [])):
        return SourceLook(headers=names)
    each = ROWS // len(chosen)
    backend.con.execute("CREATE SCHEMA looks")
    for number, path in enumerate(chosen):
        read(path).limit(each).create(f"looks.part_{number}")
    parts = " UNION ALL BY NAME ".join(f"FROM looks.part_{number}" for number in range(len(chosen)))
    backend.con.execute(f"CREATE TABLE looked_at AS {parts}")
    _add_lacking(backend.con, spec, {found for header in names.values() for found in header})
    rows = backend.table("looked_at")
    types = dict(zip(rows.columns, map(str, backend.con.table("looked_at").types), strict=True))
    seen = int(backend.con.execute("SELECT count(*) FROM looked_at").fetchall()[0][0])
    misfits = tuple(_misfits(backend, judge, rows, spec)) if seen else ()
    return SourceLook(names, types if not spec.columns else {}, misfits, seen)


def _add_lacking(connection: duckdb.DuckDBPyConnection, spec: FileSource, somewhere: set[str]) -> None:
    """Add the declared columns that only files which were not looked at have, as nulls."""
    for name in somewhere.intersection(spec.columns).difference(connection.table("looked_at").columns):
        column = exp.column(name, quoted=True).sql("duckdb")
        connection.execute(f"ALTER TABLE looked_at ADD COLUMN {column} VARCHAR")


Reader = Callable[[Path], duckdb.DuckDBPyRelation]


def _reader(
    connection: duckdb.DuckDBPyConnection, spec: FileSource, labels: Mapping[Path, str]
) -> tuple[dict[Path, tuple[str, ...]], Reader]:
    """Return the column names of each file, and what reads one file's rows."""
    if isinstance(spec, CsvSource):
        found = {path: read_header(connection, path, spec, label=labels[path]) for path in with_content(labels)}
        delimiters = {path: delimiter for path, (delimiter, _) in found.items()}
        headers = {path: header for path, (_, header) in found.items()}
        return headers, partial(_csv_rows, connection, spec, headers, delimiters)
    if isinstance(spec, JsonSource):
        sampled = _spread(list(labels), _FILES_WITH_ROWS)
        relations = {path: connection.read_json(str(path)) for path in sampled}
        filled = {path: tuple(each.columns) for path, each in relations.items() if not _is_empty(each)}
        # Of files without a row nothing can be said.
        headers = filled or dict.fromkeys(labels, tuple(spec.columns))
        return headers, partial(_json_rows, connection, spec)
    schemas = {path: tuple(pq.read_schema(path).names) for path in labels}
    return schemas, lambda path: connection.read_parquet(str(path))


def _is_empty(relation: duckdb.DuckDBPyRelation) -> bool:
    """Tell whether JSON files hold nothing: DuckDB then makes a column of its own."""
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    return types == {"json": "JSON"} and relation.limit(1).fetchall() == []


def _csv_rows(
    connection: duckdb.DuckDBPyConnection,
    spec: CsvSource,
    headers: Mapping[Path, tuple[str, ...]],
    delimiters: Mapping[Path, str],
    path: Path,
) -> duckdb.DuckDBPyRelation:
    types = {"columns": dict.fromkeys(headers[path], "VARCHAR"), "auto_detect": False} if spec.columns else {}
    relation = connection.read_csv(
        str(path),
        header=True,
        delimiter=delimiters[path],
        quotechar=_QUOTE,
        escapechar=_QUOTE,
        na_values=list(spec.null_values),
        ignore_errors=True,
        **types,  # type: ignore[arg-type]
    )
    return untyped_as_text(relation)


def _json_rows(connection: duckdb.DuckDBPyConnection, spec: JsonSource, path: Path) -> duckdb.DuckDBPyRelation:
    if not spec.columns:
        return untyped_as_text(connection.read_json(str(path)))
    return connection.read_json(str(path), columns=dict.fromkeys(spec.columns, "VARCHAR"))


def _is_sound(header: Sequence[str], spec: FileSource) -> bool:
    """Tell whether a file has every declared column (some, if the source evolves), and none twice."""
    full = spec.contract == "evolve" or set(spec.columns) <= set(header)
    return full and len({name.casefold() for name in header}) == len(header)


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    """Return up to ``count`` of the paths, the first, the last and others evenly between."""
    if len(paths) <= count:
        return list(paths)
    return [paths[round(index * (len(paths) - 1) / (count - 1))] for index in range(count)]


def _misfits(backend: Backend, judge: Judge, rows: ibis.Table, spec: FileSource) -> Iterator[Misfit]:
    """Yield what the ingestion of these rows would turn away, by column."""
    try:
        unfit = judge(rows, spec)
        reasons = [str(each) for each in backend.to_pyarrow(unfit.select(unfit.columns[-1])).column(0).to_pylist()]
    except DataError:
        # A key, a moment or a derivation names a column that is not there: the rules say so, with its place.
        return
    for kind, column, start in _causes(spec):
        hits = [reason for reason in reasons if reason.startswith(start) or f"; {start}" in reason]
        if kind == "null":
            # A value that is not of its type has become null: that is said already.
            hits = [reason for reason in hits if f"{column}: '" not in reason]
        if hits:
            yield Misfit(kind, column, len(hits), hits[0][hits[0].find(start) :].split("; ", 1)[0])


def _causes(spec: FileSource) -> Iterator[tuple[str, str, str]]:
    """Yield why a row may be turned away: the kind of misfit, the column, and how the reason starts."""
    yield from (("type", column, f"{column}: '") for column in spec.columns)
    yield from (("derive", column, f"{column} cannot be derived") for column in spec.derive)
    yield from (("null", column, f"key column {column} is null") for column in spec.key)
    if spec.event_timestamp:
        yield "null", spec.event_timestamp, f"event timestamp {spec.event_timestamp} is null"
    if spec.key:
        yield "key", spec.key[0], "key ("

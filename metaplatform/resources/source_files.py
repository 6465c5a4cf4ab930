"""Source files: found, read as they are, and what cannot be read kept aside with its reason."""

import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from os.path import commonpath
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend
from ibis.util import gen_name

from metaplatform.errors import DataError
from metaplatform.naming import stable_id
from metaplatform.resources.csv_files import check_columns, check_headers, read_csv_files
from metaplatform.specs.ingestion import CsvSource, FileSource, JsonSource, ParquetSource

_MEMBERS = {
    CsvSource: (".csv", ".tsv", ".txt"),
    ParquetSource: (".parquet",),
    JsonSource: (".json", ".jsonl", ".ndjson"),
}
"""What a zip archive is searched for, by kind of source."""


@dataclass(frozen=True)
class SourceFiles:
    """What a source's files hold.

    ``rows`` has the columns of the files: text for CSV and JSON with declared columns, typed otherwise.
    ``rejects`` has the lines that are no row at all (``file``, ``line``, ``reason``, ``text``); None for
    kinds that have no such lines. ``fingerprint`` changes with the files' names, sizes and times.
    """

    rows: ibis.Table
    rejects: ibis.Table | None
    paths: tuple[Path, ...]
    fingerprint: str


def find_files(spec: FileSource, project_root: str) -> tuple[Path, ...]:
    """Return the source's files, sorted: relative to the project folder, or to the folder of its package.

    An absolute path is taken as it is; a relative one may not lead out of its folder.

    Raises:
        DataError: if there are none, the package is not installed, or the path leads out of the folder.
    """
    owner = f"raw.{spec.name}"
    base = _package_folder(spec.package, owner) if spec.package else Path(project_root).absolute()
    pattern = Path(spec.path)
    if pattern.is_absolute() and not spec.package:
        base, pattern = Path(pattern.anchor), pattern.relative_to(pattern.anchor)
    exact = base / pattern
    # A file name may itself hold the characters of a glob.
    paths = [exact] if exact.is_file() else sorted(path for path in base.glob(str(pattern)) if path.is_file())
    if pattern.is_absolute() or not _all_within(paths, base):
        raise DataError(
            owner=owner,
            culprit=f"path '{spec.path}' leads out of {base}",
            fix="move the files there, or write an absolute path",
        )
    if not paths:
        raise DataError(
            owner=owner, culprit=f"no file matches '{spec.path}' in {base}", fix="correct `path`, or put it there"
        )
    return tuple(paths)


def _all_within(paths: list[Path], base: Path) -> bool:
    """Tell whether the files lie below ``base``, links followed; a folder of many is resolved once."""
    home = base.resolve()
    folders = {folder: folder.resolve() for folder in {path.parent for path in paths}}
    return all((path.resolve() if path.is_symlink() else folders[path.parent]).is_relative_to(home) for path in paths)


def fingerprint(paths: tuple[Path, ...]) -> str:
    """Return 16 hex digits that change with the names, sizes or modification times of ``paths``."""
    if not paths:
        return stable_id()
    base = Path(commonpath([path.parent for path in paths]))
    status = [(path.relative_to(base).as_posix(), path.stat()) for path in paths]
    return stable_id(*(part for name, stat in status for part in (name, stat.st_size, stat.st_mtime_ns)))


def read_files(backend: Backend, spec: FileSource, *, project_root: str, folder: Path) -> SourceFiles:
    """Return the rows of a source's files; archives are unpacked below ``folder``.

    Parquet is read when its rows are asked for; CSV and JSON at once, into tables of the session.

    Raises:
        DataError: naming the source and the file, if files or columns are missing or cannot be read.
    """
    owner = f"raw.{spec.name}"
    paths = find_files(spec, project_root)
    labels = unpacked(paths, spec, folder, owner=owner)
    rejects: ibis.Table | None = None
    try:
        match spec:
            case CsvSource():
                rows, rejects = read_csv_files(backend, spec, labels)
            case JsonSource():
                rows = _read_json(backend, spec, list(labels))
            case _:
                rows = _read_parquet(backend, spec, labels)
    except (duckdb.Error, OSError, ValueError) as error:
        raise _unreadable(owner, str(error), labels) from error
    return SourceFiles(rows, rejects, paths, fingerprint(paths))


def last_change(paths: tuple[Path, ...]) -> datetime:
    """Return when the youngest of the files was written to last; the beginning of time if there are none."""
    return datetime.fromtimestamp(max((path.stat().st_mtime for path in paths), default=0.0), UTC)


def _package_folder(package: str, owner: str) -> Path:
    """Return the folder of an installed package, found without importing it."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise DataError(owner=owner, culprit=f"package '{package}' is not installed", fix=f"pip install {package}")
    return Path(next(iter(spec.submodule_search_locations)))


def unpacked(paths: tuple[Path, ...], spec: FileSource, folder: Path, *, owner: str) -> dict[Path, str]:
    """Return the files to read, archives unpacked, each with its name for people."""
    labels: dict[Path, str] = {}
    for path in paths:
        if path.suffix.lower() != ".zip":
            labels[path] = str(path)
            continue
        members = _unzip(path, spec, folder / f"unpacked-{stable_id(path)}", owner=owner)
        if not members:
            endings = _endings(spec)
            raise DataError(
                owner=owner, culprit=f"{path} holds no {' or '.join(endings)} file", fix="correct `path` or `kind`"
            )
        labels |= members
    return labels


def members_of(archive: zipfile.ZipFile, spec: FileSource) -> list[str]:
    """Return the names of an archive's members that are of the source's kind, sorted."""
    wanted = sorted(name for name in archive.namelist() if name.lower().endswith(_endings(spec)))
    return [name for name in wanted if not name.startswith("__MACOSX/")]


def _endings(spec: FileSource) -> tuple[str, ...]:
    return next(endings for kind, endings in _MEMBERS.items() if isinstance(spec, kind))


def _unzip(archive: Path, spec: FileSource, folder: Path, *, owner: str) -> dict[Path, str]:
    folder.mkdir(exist_ok=True)
    unpacked: dict[Path, str] = {}
    try:
        with zipfile.ZipFile(archive) as opened:
            for number, name in enumerate(members_of(opened, spec)):
                # Names of our own: those of the archive could lead anywhere.
                target = folder / f"{number}{Path(name).suffix.lower()}"
                with opened.open(name) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
                unpacked[target] = f"{archive}/{name}"
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError(
            owner=owner, culprit=f"{archive}: {error}", fix="give an intact archive without password"
        ) from error
    return unpacked


def _read_json(backend: Backend, spec: JsonSource, paths: list[Path]) -> ibis.Table:
    files: Any = [str(path) for path in paths]
    name = gen_name("json")
    inferred = backend.con.read_json(files, union_by_name=True, sample_size=-1)
    types = dict(zip(inferred.columns, map(str, inferred.types), strict=True))
    if types == {"json": "JSON"} and inferred.count("*").fetchall() == [(0,)]:
        types = dict.fromkeys(spec.columns, "VARCHAR")
    check_columns(
        list(types), spec.columns, frozen=spec.contract == "freeze", owner=f"raw.{spec.name}", culprit=spec.path
    )
    read = {
        column: "VARCHAR" if column in spec.columns or kind in {"JSON", '"NULL"'} else kind
        for column, kind in types.items()
    }
    backend.con.read_json(files, columns=read).create(name)
    return backend.table(name)


def _read_parquet(backend: Backend, spec: FileSource, labels: Mapping[Path, str]) -> ibis.Table:
    owner = f"raw.{spec.name}"
    headers: dict[str, list[str]] = {}
    for path, label in labels.items():
        try:
            headers[label] = pq.read_schema(path).names
        except pa.ArrowException as error:
            raise DataError(owner=owner, culprit=f"{label}: {error}", fix="give an intact Parquet file") from error
    check_headers(headers, spec)
    name = gen_name("parquet")
    backend.con.read_parquet([str(path) for path in labels], union_by_name=True).create_view(name)
    return backend.table(name)


def _unreadable(owner: str, message: str, labels: Mapping[Path, str]) -> DataError:
    """Return the error for files DuckDB cannot read: what it says first, in the names people know."""
    text = " ".join(line for line in message.split("\n\nLINE ", maxsplit=1)[0].splitlines()[:3] if line)
    for path, label in labels.items():
        text = text.replace(str(path), label)
    fix = "mend the file; with declared `columns`, lines that cannot be read go to quarantine"
    return DataError(owner=owner, culprit=text, fix="convert the file to UTF-8" if "not utf-8" in text else fix)

"""Where a source's files are: found below the folders that it may read, and named for people."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from os.path import commonpath
from pathlib import Path
from urllib.parse import unquote

from metaplatform.errors import DataError
from metaplatform.naming import stable_id
from metaplatform.specs.entities.ingestion import FileSource
from metaplatform.specs.fields.addresses import is_url, shown_path

_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


def find_files(spec: FileSource, project_root: str, *, allowed: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the source's files, sorted: relative to the project's folder, or to the folder of its package.

    An absolute path must lead below the project's folder or one of ``allowed``, and no file may lie outside of
    the folder it was looked for in, whatever links lead there.

    Raises:
        DataError: if there are none, the package is not installed, or the path leads elsewhere.
    """
    owner = spec.ref
    if is_url(spec.path):
        raise DataError(
            owner=owner,
            culprit=f"path '{shown_path(spec.path)}' is an address, not a file",
            fix="bring the files below the project's folder",
        )
    base = _package_folder(spec.package, owner) if spec.package else Path(project_root).absolute()
    pattern, homes = Path(spec.path), [base]
    if not spec.package:
        homes += [Path(folder).absolute() for folder in allowed]
    if pattern.is_absolute() and not spec.package:
        base, pattern = Path(pattern.anchor), pattern.relative_to(pattern.anchor)
    exact = base / pattern
    # A file's name may itself hold the characters of a pattern.
    paths = [exact] if exact.is_file() else sorted(path for path in base.glob(str(pattern)) if path.is_file())
    if pattern.is_absolute() or not _all_within(paths, homes):
        raise DataError(
            owner=owner,
            culprit=f"path '{spec.path}' leads out of the folders that sources may read",
            fix="move the files below the project's folder, or let the deployment allow their folder in "
            "METAPLATFORM_SOURCE_FOLDERS",
        )
    if not paths:
        where = f"package '{spec.package}'" if spec.package else str(base)
        raise DataError(
            owner=owner, culprit=f"no file matches '{spec.path}' in {where}", fix="correct `path`, or put it there"
        )
    return tuple(paths)


def _all_within(paths: Sequence[Path], homes: Sequence[Path]) -> bool:
    """Tell whether the files lie below one of the folders, links followed; a folder of many is resolved once."""
    real = [home.resolve() for home in homes]
    folders = {folder: folder.resolve() for folder in {path.parent for path in paths}}
    found = (path.resolve() if path.is_symlink() else folders[path.parent] / path.name for path in paths)
    return all(any(each.is_relative_to(home) for home in real) for each in found)


def _package_folder(package: str, owner: str) -> Path:
    """Return the folder of an installed package, found without importing it."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise DataError(owner=owner, culprit=f"package '{package}' is not installed", fix=f"pip install {package}")
    return Path(next(iter(spec.submodule_search_locations)))


@dataclass(frozen=True)
class FileStates:
    """What tells files from any others: one ``token`` of all, and a mark of each path, of its size and time.

    ``changed_at`` is when the youngest was written to last.
    """

    token: str
    changed_at: datetime
    marks: Mapping[str, str]


def looked_up(paths: Sequence[Path]) -> FileStates:
    """Return the state of files by their names, sizes and modification times; none is opened."""
    base = Path(commonpath([path.parent for path in paths]))
    found = [(path, path.stat()) for path in paths]
    told = ((path.relative_to(base).as_posix(), stat.st_size, stat.st_mtime_ns) for path, stat in found)
    youngest = max(stat.st_mtime for _, stat in found)
    marks = {str(path): f"{stat.st_size} {stat.st_mtime_ns}" for path, stat in found}
    return FileStates(
        stable_id(*(part for each in told for part in each)), datetime.fromtimestamp(youngest, UTC), marks
    )


def name_for_people(path: Path, spec: FileSource, project_root: str) -> str:
    """Return a file's name as messages show it: from the project's folder, or from the package, as far as it goes."""
    if spec.package:
        parts = path.parts
        return "/".join(parts[parts.index(spec.package) :]) if spec.package in parts else path.name
    root = Path(project_root).absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def path_values(path: Path, name: str, spec: FileSource) -> Mapping[str, str | None]:
    """Return what a file's path says of the columns that stand in none of the files.

    Of ``hive_columns`` it is the innermost folder such as ``region=EU`` that counts; ``name_columns`` are looked for in
    the file's ``name`` for people, from its left.

    Raises:
        DataError: if no folder names one of them, or a pattern is not found.
    """
    named = dict(part.split("=", 1) for part in path.parent.parts if "=" in part)
    missing = [column for column in spec.hive_columns if column not in named]
    if missing:
        raise DataError(
            owner=spec.ref,
            culprit=f"no folder of {path.name} names {', '.join(map(repr, missing))}",
            fix="put it into a folder such as 'region=EU', or correct `hive_columns`",
        )
    values: dict[str, str | None] = {
        column: None if named[column] == _NULL_FOLDER else unquote(named[column]) for column in spec.hive_columns
    }
    for column, pattern in spec.name_columns.items():
        found = re.search(pattern, name)
        if found is None or found[1] is None:
            culprit, fix = f"{name} says no '{column}': {pattern} is not in it", "rename it, or correct `name_columns`"
            raise DataError(owner=spec.ref, culprit=culprit, fix=fix)
        values[column] = found[1]
    return values

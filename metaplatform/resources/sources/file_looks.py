"""Looks at source files without reading them whole: their columns, and how their first rows fit the book."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from ibis.backends.duckdb import Backend

from metaplatform.naming import stable_id
from metaplatform.resources.sources.file_formats import FileFormat, spread
from metaplatform.resources.sources.first_rows import ROWS, first_rows
from metaplatform.resources.sources.looked_rows import look_at_rows
from metaplatform.resources.sources.opened_files import OpenedFile, literal, members_of
from metaplatform.resources.sources.row_moments import count_moments
from metaplatform.resources.sources.source_paths import find_files, name_for_people
from metaplatform.resources.sources.source_reader import Judge, Place
from metaplatform.specs.book.source_looks import SourceLook
from metaplatform.specs.entities.ingestion import ARCHIVE, FileSource

_FILES = 1_000
_MEMBERS = 64
HEAD_BYTES = 4_000_000
"""So much of a file is looked at, where it is first to be unpacked or written again."""
_WHOLE_BYTES = 64_000_000
_COUNTED_BYTES = 256_000_000
"""Files of more bytes in all are not counted: that would take more than some seconds."""


def heads(spec: FileSource, form: FileFormat[Any], place: Place, folder: Path) -> Iterator[OpenedFile]:
    """Yield up to 1,000 files to look at, of archived ones their heads, which are written to ``folder``.

    Raises:
        DataError: if there are none.
    """
    folder.mkdir(exist_ok=True)
    for path in find_files(spec, place.root, allowed=place.folders)[:_FILES]:
        name = name_for_people(path, spec, place.root)
        if path.suffix.lower() != ARCHIVE:
            yield OpenedFile(literal(path, folder), name, path)
            continue
        with zipfile.ZipFile(path) as archive:
            for number, member in enumerate(members_of(archive, spec, name)[:_MEMBERS]):
                target = folder / f"{stable_id(path)}-{number}{Path(member).suffix.lower()}"
                with archive.open(member) as packed:
                    head = _head(packed, in_lines=form.in_lines(member.lower()))
                if head is None:
                    continue
                target.write_bytes(head)
                yield OpenedFile(target, f"{name}/{member}", path, whole=False)


def _head(packed: IO[bytes], *, in_lines: bool) -> bytes | None:
    """Return the first lines of a member, or the whole of what is not made of lines; None if that is too large."""
    if not in_lines:
        data = packed.read(_WHOLE_BYTES + 1)
        return data if len(data) <= _WHOLE_BYTES else None
    data = packed.read(HEAD_BYTES + 1)
    return data if len(data) <= HEAD_BYTES else data[: data.rfind(b"\n") + 1]


def look_at_files(
    backend: Backend, spec: FileSource, form: FileFormat[Any], files: Sequence[OpenedFile], judge: Judge
) -> SourceLook:
    """Return the columns of the files, and how the first rows of up to eight of them fit the book.

    Raises:
        DataError: if a file cannot be read.
    """
    if not files:
        return SourceLook()
    known = form.known(backend.con, spec, form.held(files), looked_at=ROWS)
    names = {file.name: found for file, found in known.columns.items()}
    if form.sparse:
        names = {spec.path: tuple(dict.fromkeys(name for found in names.values() for name in found))}
        sound = list(known.columns)
    else:
        sound = [file for file, found in known.columns.items() if _is_sound(found, spec)]
    if not sound or not all(_is_sound(found, spec) for found in ([*names.values()] if len(names) == 1 else [])):
        return SourceLook(headers=names)
    table = first_rows(backend.con, spec, form, known, spread(sound)).table
    look = look_at_rows(backend, spec, table, names, form.types, judge)
    column, filled = spec.event_timestamp, [file for file in files if file.path.stat().st_size]
    if column is None or not _are_counted(files, filled) or not (form.sparse or set(filled) <= set(sound)):
        return look
    return replace(
        look, moments=count_moments(backend.con, form.column(backend.con, spec, known, filled, column), column)
    )


def _are_counted(files: Sequence[OpenedFile], filled: Sequence[OpenedFile]) -> bool:
    """Tell whether all rows can be counted: no file is left out, or not whole, or has too many bytes."""
    partly = len(files) == _FILES or not all(file.whole for file in files)
    return not partly and bool(filled) and sum(file.path.stat().st_size for file in filled) <= _COUNTED_BYTES


def _is_sound(header: Sequence[str], spec: FileSource) -> bool:
    """Tell whether a file has every declared column (some, if the source evolves), and none twice."""
    full = spec.contract == "evolve" or set(spec.columns_of_files) <= set(header)
    return full and len({name.casefold() for name in header}) == len(header)

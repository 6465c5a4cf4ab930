"""Source files: read as they are, and what cannot be read kept aside with its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import ibis
from ibis.util import gen_name

from metaplatform.errors import DataError
from metaplatform.resources.engine.session import Session
from metaplatform.resources.sources.formats import FORMATS
from metaplatform.resources.sources.guessed_types import typed_by_values
from metaplatform.resources.sources.opened_files import OpenedFile, opened
from metaplatform.resources.sources.source_paths import find_files, fingerprint
from metaplatform.specs.entities.families import SourceSpec

_SAID_OF_A_LINE = ("Maximum line size", "Expected Number", "Value with unterminated", "Invalid unicode")


@dataclass(frozen=True)
class SourceFiles:
    """What a source's files hold.

    ``rows`` has the columns of the files: text for CSV and JSON with declared columns, typed otherwise.
    Beside them is the path of each row's file, in the column :data:`metaplatform.naming.FILE`; ``names``
    has what people call it, by path.
    ``rejects`` has the lines that are not rows at all (``file``, ``line``, ``reason``, ``text``); None for
    kinds that have no such lines. ``fingerprint`` changes with the files' names, sizes and times.
    """

    rows: ibis.Table
    rejects: ibis.Table | None
    paths: tuple[Path, ...]
    fingerprint: str
    names: Mapping[str, str]


def read_files(session: Session, spec: SourceSpec, project_root: str, *, allowed: Sequence[str] = ()) -> SourceFiles:
    """Return the rows of a source's files, in a session; archives are unpacked into its folder.

    Parquet is read when its rows are asked for; CSV and JSON at once, into tables of the session. ``allowed`` are
    folders beside the project's that sources may read.

    Raises:
        DataError: naming the source and the file, if files or columns are missing or cannot be read.
    """
    paths = find_files(spec, project_root, allowed=allowed)
    backend, files = session.backend, opened(paths, spec, project_root, session.folder)
    form = FORMATS.of(spec.kind)
    try:
        read = form.read(backend.con, spec, files)
        rejects = None if read.rejects is None else backend.create_table(gen_name("rejects"), read.rejects)
        by_values = form.types == "text" and not spec.columns
        table = typed_by_values(backend.con, read.table) if by_values else read.table
    except (duckdb.Error, OSError, ValueError) as error:
        raise unreadable(f"raw.{spec.name}", str(error), files) from error
    return SourceFiles(
        backend.table(table), rejects, paths, fingerprint(paths), {str(file.path): file.name for file in files}
    )


def unreadable(owner: str, message: str, files: Sequence[OpenedFile]) -> DataError:
    """Return the error for files that DuckDB cannot read: what it says, without its hints, by the names people know."""
    told = [line.strip() for line in message.split("\n\nLINE ", maxsplit=1)[0].splitlines() if line.strip()] or [""]
    # Never the line at fault, which DuckDB quotes: the file may hold what is nobody's business.
    why = (line for line in told[1:] if line.startswith(_SAID_OF_A_LINE))
    text = "; ".join((told[0].split(": ", 1)[-1], *why))
    for file in files:
        text = text.replace(str(file.path), file.name)
    return DataError(owner=owner, culprit=text[:300], fix="fix the file, or correct `kind` if it is of another")

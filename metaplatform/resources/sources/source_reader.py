"""What is asked of a kind of source, wherever its rows are: their state, all of them, and a look at the first."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import duckdb
import ibis

from metaplatform.errors import DataError
from metaplatform.resources.engine.session import Session
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Misfit, SourceLook
from metaplatform.specs.entities.ingestion import Source

Judge = Callable[[ibis.Table, Source], tuple[Misfit, ...]]
"""Returns what of the rows would not fit their source."""
Types = Literal["text", "inferred", "own"]
"""Where types come from: from what all values say, for all are ``text``; ``inferred`` by DuckDB; or their ``own``."""
Kinds = Mapping[str, frozenset[str]]
"""Column → the types that it has in one part of a source or the other."""


@dataclass(frozen=True)
class Place:
    """Where a book stands: its project folder, and ``folders`` that the deployment lets sources read beside it."""

    root: str
    folders: Sequence[str] = ()

    @classmethod
    def of(cls, manifest: Manifest) -> "Place":
        """Return the place of a book."""
        return cls(manifest.root, manifest.source_folders)

    def file(self, path: str, *, owner: str) -> Path:
        """Return a file, named from the project's folder, for kinds whose rows are inside of one.

        Raises:
            DataError: if it is not there, or lies outside of the folders that sources may read.
        """
        found = Path(self.root, path)
        if not any(found.resolve().is_relative_to(Path(home).resolve()) for home in (self.root, *self.folders)):
            culprit, fix = f"'{path}' leads out of the folders that sources may read", "move it below the project's"
            raise DataError(owner=owner, culprit=culprit, fix=fix)
        if not found.is_file():
            raise DataError(owner=owner, culprit=f"there is no file '{path}'", fix="correct its path, or put it there")
        return found


@dataclass(frozen=True)
class SourceState:
    """What tells the rows that are there from those of any other time, without any having been read.

    ``token`` changes whenever the rows may have changed; None where only the rows themselves tell: they are read
    whenever a run asks. ``at_once`` says that one reading sees all rows as they are at one moment, whatever changes
    meanwhile: then nothing is asked after it. ``changed_at`` is when they last did, None where that cannot
    be told: then nothing waits for them to settle, nor where only runs ask (``Source.asked_every``). ``parts`` are what
    the rows are read from, as people call it; where there is none given, what ``Source.origin`` says. ``marks``
    tell each part from any other by its size and time; there are none where parts cannot be read apart from each other.
    """

    token: str | None
    changed_at: datetime | None = None
    parts: tuple[str, ...] = ()
    marks: Mapping[str, str] = field(default_factory=dict)
    at_once: bool = False


@dataclass(frozen=True)
class SourceRows:
    """What a source holds, in a session.

    ``rows`` has the columns as they are: text for CSV and JSON with declared columns, typed otherwise.
    Beside them is the part that each row is from, in the column :data:`metaplatform.naming.FILE`; ``names``
    has what people call it: a path, for files.
    ``rejects`` has the lines that are not rows at all (``file``, ``line``, ``reason``, ``text``); None for
    kinds that have no such lines. ``parts`` has, by what people call it, the part of the ``SourceState`` that it is in:
    an archive holds several. ``kinds`` are the types of each column in one part or the other, where they count beside
    the column's own; ``alike``: each part alone has all of the columns, in the same types.
    """

    rows: ibis.Table
    rejects: ibis.Table | None
    names: Mapping[str, str]
    parts: Mapping[str, str] = field(default_factory=dict)
    kinds: Kinds = field(default_factory=dict)
    alike: bool = False


@dataclass(frozen=True)
class SampledRows:
    """The ``table`` of a connection that holds some rows of a source; ``name`` is what people call the first part.

    The rest is as :class:`samples.Sample` says.
    """

    table: str
    name: str
    whole: bool
    inferred: bool = False
    paths: tuple[Path, ...] = ()
    delimiter: str | None = None
    rejected: str = ""
    not_everywhere: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Looking:
    """How a source is looked at: by whose judgement, with how many ``threads``, with which ``folder`` to itself."""

    judge: Judge
    threads: int
    folder: Path


class SourceReader(Protocol):
    """What a kind of source does; ``spec`` is of its class."""

    def state(self, spec: Any, place: Place) -> SourceState:
        """Return the state of a source's rows; asked often, so none is read for it.

        Raises:
            DataError: if they are not there.
        """

    def read(self, session: Session, spec: Any, place: Place, *, only: Collection[str] | None = None) -> SourceRows:
        """Return all rows of a source, in a session; those of some parts ``only``, of a state that has their marks.

        Raises:
            DataError: naming the source and the part, if rows or columns are missing or cannot be read.
        """

    def look(self, spec: Any, place: Place, looking: Looking) -> SourceLook:
        """Return what the first rows of a source are like, and its columns.

        Raises:
            DataError: if they are not there, or cannot be read.
        """

    def sample(self, connection: duckdb.DuckDBPyConnection, spec: Any, place: Place, folder: Path) -> SampledRows:
        """Return some rows of a source to propose from; ``folder`` is for temporary files.

        Raises:
            DataError: if they are not there, cannot be read, or have no columns with names.
        """


_SAID_OF_A_LINE = ("Maximum line size", "Expected Number", "Value with unterminated", "Invalid unicode")
_RAISED = "Detail: Python exception:"


def said_by(error: Exception) -> str:
    """Return an error's message behind the name of its class, as those of DuckDB are."""
    return str(error) if isinstance(error, duckdb.Error) else f"{type(error).__name__}: {error}"


def unreadable(spec: Source, message: str, names: Mapping[str, str], fix: str) -> DataError:
    """Return the error for rows that cannot be read: what DuckDB says, without its hints, by ``names`` for people."""
    if _RAISED in message:
        # What a reader in Python has raised stands below its traceback.
        message = message.rstrip().splitlines()[-1]
    told = [line.strip() for line in message.split("\n\nLINE ", maxsplit=1)[0].splitlines() if line.strip()] or [""]
    # Never the line at fault, which DuckDB quotes: the file may hold what is nobody's business.
    why = (line for line in told[1:] if line.startswith(_SAID_OF_A_LINE))
    text = "; ".join((told[0].split(": ", 1)[-1], *why))
    for path, name in names.items():
        text = text.replace(path, name)
    return DataError(owner=spec.ref, culprit=text[:300], fix=fix)

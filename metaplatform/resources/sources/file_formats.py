"""What is asked of a format of files: each kind of source whose rows are in files answers it in a module of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import duckdb
import pyarrow as pa

from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.resources.sources.source_reader import Types
from metaplatform.specs.entities.ingestion import FileSource

S = TypeVar("S", bound=FileSource)
REJECT_COLUMNS: pa.Schema = pa.schema(
    [("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("text", pa.string())]  # type: ignore[arg-type]
)
"""A line that is not a row: its file, its 1-based number, why not, and what it says."""
MOST_FILES = 8
"""So many files are opened to look at their rows, at most."""


@dataclass(frozen=True)
class FilesRead:
    """The ``table``, or view, of a connection that has all rows of some files, and their rejected lines.

    Each row has the path of its file beside, in the column :data:`metaplatform.naming.FILE`. ``rejects`` are as
    :data:`REJECT_COLUMNS` says; None for formats without lines. ``kinds`` and ``alike`` are as those of ``SourceRows``.
    """

    table: str
    rejects: pa.Table | None = None
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    alike: bool = False


@dataclass(frozen=True)
class KnownFiles:
    """Files of which the columns are known, without any having been read whole; ``rows`` reads one of them.

    ``rejected`` tells of the lines of text that are not rows among those read so far, empty if there are none;
    ``delimiter`` is that of the last file, in text that has one. ``first`` reads so many rows, where that is not what a
    limit on all of them would do.
    """

    columns: Mapping[OpenedFile, tuple[str, ...]]
    rows: Callable[[OpenedFile], duckdb.DuckDBPyRelation]
    rejected: Callable[[], str] = str
    delimiter: str | None = None
    first: Callable[[OpenedFile, int], duckdb.DuckDBPyRelation] | None = None

    def first_rows(self, file: OpenedFile, most: int) -> duckdb.DuckDBPyRelation:
        """Return so many of a file's rows at most."""
        return self.first(file, most) if self.first else self.rows(file).limit(most)


class FileFormat(ABC, Generic[S]):
    """What a kind of source knows of its files."""

    types: Types = "own"
    sparse: bool = False
    """Whether any row may lack a column: then a source has the columns that its files have together."""

    @abstractmethod
    def read(self, connection: duckdb.DuckDBPyConnection, spec: S, files: Sequence[OpenedFile]) -> FilesRead:
        """Return all rows of the files, each column joined with those of its name.

        Raises:
            DataError: if columns do not go with the declared ones, or a file cannot be read.
        """

    @abstractmethod
    def known(
        self, connection: duckdb.DuckDBPyConnection, spec: S, files: Sequence[OpenedFile], *, looked_at: int
    ) -> KnownFiles:
        """Return what is known of the files, where up to ``looked_at`` rows are looked at for it.

        Raises:
            DataError: if a file has no columns.
        """

    def prepared(
        self, spec: S, files: Sequence[OpenedFile], folder: Path, *, most: int | None = None
    ) -> list[OpenedFile]:
        """Return the files as they can be read: those that cannot be as they are, written again below ``folder``.

        ``most`` is how many bytes are wanted of each, if not all.

        Raises:
            DataError: if one cannot be.
        """
        del spec, folder, most
        return list(files)

    def apart(self, spec: S) -> bool:
        """Tell whether files are read one without the other as they are read together, if their columns are the same.

        Then a new file costs its own rows. It is asked of each format, for an answer that is wrong loses rows.
        """
        del spec
        return False

    def held(self, files: Iterable[OpenedFile]) -> list[OpenedFile]:
        """Return the files that hold anything; all of them if none does."""
        return with_content(files)

    def in_lines(self, name: str) -> bool:
        """Tell whether the first lines of a file of this name, in lower case, can be read alone."""
        del name
        return False

    def typed(
        self,
        connection: duckdb.DuckDBPyConnection,
        spec: S,
        table: str,
        files: Sequence[OpenedFile],
        *,
        looked_at: int,
    ) -> str:
        """Return the name of a table with rows of the ``files``, in ``table``, in the types that the format has."""
        del connection, spec, files, looked_at
        return table

    def column(
        self,
        connection: duckdb.DuckDBPyConnection,
        spec: S,
        known: KnownFiles,
        files: Sequence[OpenedFile],
        name: str,
    ) -> list[duckdb.DuckDBPyRelation]:
        """Return rows of the files that have one column at least; none if a file is not known."""
        del connection, spec, name
        return [known.rows(file) for file in files] if set(files) <= set(known.columns) else []

    def refuse_unnamed(
        self, connection: duckdb.DuckDBPyConnection, spec: S, file: OpenedFile, columns: Sequence[str]
    ) -> None:
        """Refuse a file whose ``columns`` have no names that a source could declare.

        Raises:
            DataError: if that is so.
        """


def with_content(files: Iterable[OpenedFile]) -> list[OpenedFile]:
    """Return the files that have a byte at least; all of them if none has, for the first to tell what is wrong."""
    every = list(files)
    return [file for file in every if file.path.stat().st_size] or every


def spread(files: Sequence[OpenedFile]) -> list[OpenedFile]:
    """Return up to :data:`MOST_FILES` of the files: the first, the last and others evenly between."""
    if len(files) <= MOST_FILES:
        return list(files)
    return [files[round(index * (len(files) - 1) / (MOST_FILES - 1))] for index in range(MOST_FILES)]

"""The readers of sources by kind: those that are built in, and those of installed distributions."""

from collections.abc import Collection

from metaplatform.extensions import WorkByKind
from metaplatform.resources.engine.session import Session
from metaplatform.resources.sources.csv_files import CsvFormat
from metaplatform.resources.sources.database_files import DuckDBRows, SqliteRows
from metaplatform.resources.sources.file_sources import FileReader
from metaplatform.resources.sources.json_files import JsonFormat
from metaplatform.resources.sources.parquet_files import ParquetFormat
from metaplatform.resources.sources.row_sources import RowReader
from metaplatform.resources.sources.server_rows import MysqlRows, PostgresRows
from metaplatform.resources.sources.source_reader import Place, SourceReader, SourceRows
from metaplatform.specs.entities.families import SourceSpec

READERS: WorkByKind[SourceReader] = WorkByKind(
    "sources",
    {
        "csv": FileReader(CsvFormat()),
        "json": FileReader(JsonFormat()),
        "parquet": FileReader(ParquetFormat()),
        "postgres": RowReader(PostgresRows()),
        "mysql": RowReader(MysqlRows()),
        "sqlite": RowReader(SqliteRows()),
        "duckdb": RowReader(DuckDBRows()),
    },
)
"""What reads a source, by its kind."""


def read_rows(session: Session, spec: SourceSpec, place: Place, *, only: Collection[str] | None = None) -> SourceRows:
    """Return all rows of a source, in a session; those of some of its parts ``only``, if given.

    Raises:
        DataError: naming the source and the part, if rows or columns are missing or cannot be read.
    """
    reader = READERS.of(spec.kind)
    return reader.read(session, spec, place) if only is None else reader.read(session, spec, place, only=only)

"""The formats of files by kind of source: those that are built in, and those of installed distributions."""

from typing import Any

from metaplatform.extensions import WorkByKind
from metaplatform.resources.sources.csv_files import CsvFormat
from metaplatform.resources.sources.file_formats import FileFormat
from metaplatform.resources.sources.json_files import JsonFormat
from metaplatform.resources.sources.parquet_files import ParquetFormat

FORMATS: WorkByKind[FileFormat[Any]] = WorkByKind(
    "sources", {"csv": CsvFormat(), "json": JsonFormat(), "parquet": ParquetFormat()}
)
"""What knows the files of a source, by its kind."""

"""The first and last file of a source → one table with a bounded number of their rows."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import duckdb

from metaplatform.errors import DataError
from metaplatform.resources.sources.csv_files import check_columns, csv_rows, read_header, with_content
from metaplatform.resources.sources.folder_columns import folder_values, with_folder_values
from metaplatform.resources.sources.json_files import as_inferred, json_columns, json_rows
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.resources.sources.parquet_files import differing_columns, parquet_rows, parquet_schema
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.entities.ingestion import CsvSource, JsonSource, ParquetSource

SAMPLE_ROWS = 20_000
"""Rows that are looked at, at most; half of the first file, half of the last."""
_SAMPLE_CELLS, _FEWEST_ROWS = 10_000_000, 1_000
"""Of a wide file fewer rows are looked at: so many values in all, but not fewer rows than that."""
SAMPLE_TABLE = "sample"


@dataclass(frozen=True)
class SampledRows:
    """How :data:`SAMPLE_TABLE` was filled.

    ``delimiter`` is that of text, ``whole`` says whether it holds all rows, and ``not_everywhere`` names columns that
    one of the files lacks. ``rejected`` tells of the lines of text that are not rows, empty if there are none.
    """

    delimiter: str | None
    whole: bool
    not_everywhere: frozenset[str]
    rejected: str


def load_sample(connection: duckdb.DuckDBPyConnection, spec: SourceSpec, files: Sequence[OpenedFile]) -> SampledRows:
    """Make the table of sampled rows.

    Raises:
        DataError: if a file has no usable header, or holds no objects.
    """
    held = list(files) if isinstance(spec, ParquetSource) else with_content(files)
    ends = list(dict.fromkeys([held[0], held[-1]]))
    read = [_relation(connection, spec, file, ends, number) for number, file in enumerate(ends)]
    delimiter = read[-1][1]
    widest = max(len(relation.columns) for relation, _ in read)
    share = max(_FEWEST_ROWS, min(SAMPLE_ROWS, _SAMPLE_CELLS // widest)) // len(ends)
    parts = []
    for number, (file, (relation, _)) in enumerate(zip(ends, read, strict=True)):
        with_folder_values(relation.limit(share + 1), folder_values(file.origin, spec)).create(f"part_{number}")
        parts.append(f"part_{number}")
    whole = len(ends) == len(held)
    for part in parts:
        counted = connection.table(part).count("*").fetchall()[0][0]
        whole = whole and counted <= share
    rows = " UNION ALL BY NAME ".join(f"(FROM {part} LIMIT {share})" for part in parts)
    first, last = (frozenset(connection.table(part).columns) for part in (parts[0], parts[-1]))
    connection.execute(f"CREATE TABLE {SAMPLE_TABLE} AS {rows}")
    if isinstance(spec, JsonSource):
        _type_json(connection, spec, ends)
    rejected = _rejected(connection, parts) if isinstance(spec, CsvSource) else ""
    return SampledRows(delimiter, whole, first ^ last, rejected)


def _type_json(connection: duckdb.DuckDBPyConnection, spec: JsonSource, files: Sequence[OpenedFile]) -> None:
    typed = as_inferred(connection, SAMPLE_TABLE, spec, json_columns(connection, files, sample_size=SAMPLE_ROWS))
    if typed != SAMPLE_TABLE:
        connection.execute(f"ALTER TABLE {typed} RENAME TO {SAMPLE_TABLE}")


def _rejected(connection: duckdb.DuckDBPyConnection, parts: Sequence[str]) -> str:
    """Return what is said of the lines of text that are not rows."""
    errors = " UNION ALL ".join(f"FROM {part}_errors" for part in parts)
    found = connection.execute(
        f"SELECT count(DISTINCT (scan_id, file_id, line)), arg_min((line, error_message), line) FROM ({errors})"  # noqa: S608
    ).fetchall()
    count, first = found[0]
    if not count:
        return ""
    told = "1 line is not a row:" if count == 1 else f"{count:,} lines are not rows, the first of them"
    return f"{told} line {first[0]}: {first[1].splitlines()[0]}"


def _relation(
    connection: duckdb.DuckDBPyConnection, spec: SourceSpec, file: OpenedFile, ends: Sequence[OpenedFile], number: int
) -> tuple[duckdb.DuckDBPyRelation, str | None]:
    """Return the rows of a file, the ``number``-th to be looked at, and the delimiter of text."""
    match spec:
        case CsvSource():
            delimiter, header = read_header(connection, file, spec)
            _check_header(header, owner=f"raw.{spec.name}", label=file.name)
            rejects = f"part_{number}"
            return csv_rows(connection, spec, [file], delimiter=delimiter, header=header, rejects=rejects), delimiter
        case JsonSource():
            try:
                connection.read_json(str(file.path), sample_size=SAMPLE_ROWS, records="true", hive_partitioning=False)
            except duckdb.BinderException as error:
                fix = "give JSON objects with columns"
                raise DataError(owner=f"raw.{spec.name}", culprit=f"{file.name} holds no objects", fix=fix) from error
            return json_rows(connection, spec, [file], json_columns(connection, [file], sample_size=SAMPLE_ROWS)), None
        case ParquetSource():
            schemas = {each.name: parquet_schema(each, spec) for each in ends}
            return parquet_rows(connection, [file], as_text=differing_columns(schemas, spec)), None
        case _:
            raise TypeError(spec.kind)


def _check_header(header: Sequence[str], *, owner: str, label: str) -> None:
    """Refuse a first line that is a row, or names that no table can have."""
    for name in header:
        number = None
        # Not `inf`, nor `nan`: they are words too.
        if any(map(str.isdigit, name)):
            with suppress(ValueError):
                number = float(name.replace(",", "."))
        a_year = number is not None and name.isdigit() and 1900 <= number <= 2100  # noqa: PLR2004  # years head columns
        a_value = not a_year and (number is not None or name[:10].replace("-", "").isdigit())
        if not name.strip() or a_value:
            raise DataError(
                owner=owner,
                culprit=f"{label} has no header line: '{name}' is not a name of a column",
                fix=f"put a first line there that names its {len(header)} columns, and nothing above it",
            )
    check_columns(header, {}, frozen=False, owner=owner, culprit=label)

"""The first and last file of a source → one table with a bounded number of their rows."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.resources.csv_files import check_columns, read_header, with_content
from metaplatform.specs.ingestion import CsvSource, FileSource, JsonSource, ParquetSource

SAMPLE_ROWS = 20_000
"""Rows that are looked at, at most; half of the first file, half of the last."""
SAMPLE_TABLE = "sample"
_JSON = "JSON"


@dataclass(frozen=True)
class SampledRows:
    """How :data:`SAMPLE_TABLE` was filled.

    ``delimiter`` is that of text, ``whole`` says whether it holds all rows, and ``not_everywhere`` names columns that
    one of the files lacks. ``rejected`` tells of the lines of text that are no rows, empty if there are none.
    """

    delimiter: str | None
    whole: bool
    not_everywhere: frozenset[str]
    rejected: str


def load_sample(connection: duckdb.DuckDBPyConnection, spec: FileSource, labels: Mapping[Path, str]) -> SampledRows:
    """Make the table of sampled rows.

    Raises:
        DataError: if a file has no usable header, or holds no objects.
    """
    held = list(labels) if isinstance(spec, ParquetSource) else with_content(labels)
    ends = list(dict.fromkeys([held[0], held[-1]]))
    share = SAMPLE_ROWS // len(ends)
    delimiter: str | None = None
    parts = []
    for number, path in enumerate(ends):
        relation, delimiter = _relation(connection, spec, path, labels[path], number)
        relation.limit(share + 1).create(f"part_{number}")
        parts.append(f"part_{number}")
    _give_types_to_nulls(connection, parts)
    whole = len(ends) == len(held)
    for part in parts:
        counted = connection.table(part).count("*").fetchall()[0][0]
        whole = whole and counted <= share
    rows = " UNION ALL BY NAME ".join(f"(FROM {part} LIMIT {share})" for part in parts)
    connection.execute(f"CREATE TABLE {SAMPLE_TABLE} AS {rows}")
    first, last = (frozenset(connection.table(part).columns) for part in (parts[0], parts[-1]))
    rejected = _rejected(connection, parts) if isinstance(spec, CsvSource) else ""
    return SampledRows(delimiter, whole, first ^ last, rejected)


def _give_types_to_nulls(connection: duckdb.DuckDBPyConnection, parts: Sequence[str]) -> None:
    """Give a JSON column that is null all through one file the type that it has in the other.

    DuckDB has no type for it but JSON, which a union with any other type would be, too.
    """
    types = {
        part: dict(zip(each.columns, each.types, strict=True)) for part in parts for each in [connection.table(part)]
    }
    for part, other in permutations(parts, 2):
        for name, kind in types[part].items():
            told = types[other].get(name, kind)
            if str(kind) == _JSON and str(told) != _JSON and not _has_values(connection, part, name):
                retyped = exp.column(name, quoted=True).sql("duckdb")
                connection.execute(f"ALTER TABLE {part} ALTER {retyped} TYPE {told}")


def _has_values(connection: duckdb.DuckDBPyConnection, table: str, name: str) -> bool:
    return bool(connection.table(table).count(exp.column(name, quoted=True).sql("duckdb")).fetchall()[0][0])


def _rejected(connection: duckdb.DuckDBPyConnection, parts: Sequence[str]) -> str:
    """Return what is said of the lines of text that are no rows."""
    errors = " UNION ALL ".join(f"FROM {part}_errors" for part in parts)
    found = connection.execute(
        f"SELECT count(DISTINCT (scan_id, file_id, line)), arg_min((line, error_message), line) FROM ({errors})"  # noqa: S608
    ).fetchall()
    count, first = found[0]
    return (
        f"{count} line(s) are no rows, the first of them line {first[0]}: {first[1].splitlines()[0]}" if count else ""
    )


def _relation(
    connection: duckdb.DuckDBPyConnection, spec: FileSource, path: Path, label: str, number: int
) -> tuple[duckdb.DuckDBPyRelation, str | None]:
    """Return the rows of a file, the ``number``-th to be looked at, and the delimiter of text."""
    match spec:
        case CsvSource():
            delimiter, header = read_header(connection, path, spec, label=label)
            _check_header(header, owner=f"raw.{spec.name}", label=label)
            files: Any = [str(path)]
            return connection.read_csv(
                files,
                columns=dict.fromkeys(header, "VARCHAR"),
                header=True,
                auto_detect=False,
                delimiter=delimiter,
                quotechar='"',
                escapechar='"',
                na_values=list(spec.null_values),
                store_rejects=True,
                rejects_table=f"part_{number}_errors",
                rejects_scan=f"part_{number}_scans",
            ), delimiter
        case JsonSource():
            try:
                return connection.read_json(str(path), sample_size=SAMPLE_ROWS, records="true"), None
            except duckdb.BinderException as error:
                raise DataError(
                    owner=f"raw.{spec.name}", culprit=f"{label} holds no objects", fix="give JSON objects with columns"
                ) from error
        case _:
            return connection.read_parquet(str(path)), None


def _check_header(header: Sequence[str], *, owner: str, label: str) -> None:
    """Refuse a first line that is a row, or names that no table can have."""
    check_columns(header, {}, frozen=False, owner=owner, culprit=label)
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
                culprit=f"{label} has no header line: '{name}' is no name of a column",
                fix="give its columns names in the first line",
            )

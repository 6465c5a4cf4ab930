"""Parquet: rows as they stand; files that have a column in differing types are joined without loss, or refused."""

from collections.abc import Iterable, Mapping, Sequence

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.resources.sources.declared_columns import check_headers
from metaplatform.resources.sources.file_formats import FileFormat, FilesRead, KnownFiles
from metaplatform.resources.sources.file_scans import file_type, scan
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.resources.sources.path_columns import with_values_of_paths
from metaplatform.specs.entities.ingestion import ParquetSource

_EXACT_IN_DOUBLE = (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32())
_TEXTS = (pa.string(), pa.large_string(), pa.string_view())
_MOST_DIGITS = 38


class ParquetFormat(FileFormat[ParquetSource]):
    """Parquet: each column of a file has a type of its own."""

    def read(
        self, connection: duckdb.DuckDBPyConnection, spec: ParquetSource, files: Sequence[OpenedFile]
    ) -> FilesRead:
        """Return a view with the rows of the files, which are read when they are asked for.

        A declared column that the files have in differing types is text, so that no value changes before it is cast.

        Raises:
            DataError: if columns do not go with the declared ones, or an undeclared one has types of no common one.
        """
        schemas = {file.name: _schema(file, spec) for file in files}
        check_headers({name: schema.names for name, schema in schemas.items()}, spec)
        differing = _differing_columns(schemas, spec)
        groups: dict[tuple[str, ...], list[OpenedFile]] = {}
        for file in files:
            # A type of its own for each group, so that DuckDB casts nothing before we do.
            names = schemas[file.name].names
            types = tuple(str(schemas[file.name].field(name).type) if name in names else "" for name in differing)
            groups.setdefault(types, []).append(file)
        paths = file_type(connection, files)
        parts = [
            with_values_of_paths(_rows(connection, members, as_text=differing, paths=paths), files, spec)
            for members in groups.values()
        ]
        kinds: dict[str, set[str]] = {}
        for found in schemas.values():
            for each in found:
                kinds.setdefault(each.name, set()).add(str(each.type))
        alike = len({frozenset(schema.names) for schema in schemas.values()}) == 1
        alike = alike and all(len(types) == 1 for types in kinds.values())
        every = {name: frozenset(types) for name, types in kinds.items()}
        return FilesRead(_joined(connection, parts), kinds=every, alike=alike)

    def apart(self, spec: ParquetSource) -> bool:
        """Tell that files have types of their own, which are told of each column."""
        del spec
        return True

    def known(
        self, connection: duckdb.DuckDBPyConnection, spec: ParquetSource, files: Sequence[OpenedFile], *, looked_at: int
    ) -> KnownFiles:
        """Return the files with the columns that their schemas have."""
        del looked_at
        schemas = {file: _schema(file, spec) for file in files}
        differing = _differing_columns({file.name: schema for file, schema in schemas.items()}, spec)

        def rows(file: OpenedFile) -> duckdb.DuckDBPyRelation:
            return _rows(connection, [file], as_text=differing)

        return KnownFiles({file: tuple(schema.names) for file, schema in schemas.items()}, rows)

    def held(self, files: Iterable[OpenedFile]) -> list[OpenedFile]:
        """Return all files: one without a byte is damaged."""
        return list(files)


def _schema(file: OpenedFile, spec: ParquetSource) -> pa.Schema:
    """Return the columns of a file with their types.

    Raises:
        DataError: if it is not a Parquet file.
    """
    try:
        return pq.read_schema(file.path)
    except (pa.ArrowException, OSError) as error:
        fix = "give an intact Parquet file"
        raise DataError(owner=spec.ref, culprit=f"{file.name} is not a Parquet file", fix=fix) from error


def _differing_columns(schemas: Mapping[str, pa.Schema], spec: ParquetSource) -> tuple[str, ...]:
    """Return the declared columns whose types, by file, have no common one that holds every value of each.

    Raises:
        DataError: if there is such a column that is not declared.
    """
    types: dict[str, dict[pa.DataType, str]] = {}
    for file, schema in schemas.items():
        for field in schema:
            types.setdefault(field.name, {}).setdefault(field.type, file)
    differing = {name: found for name, found in types.items() if not _joins_exactly(list(found))}
    for name, found in differing.items():
        if name not in spec.columns:
            told = ", ".join(f"{kind} in {file}" for kind, file in found.items())
            raise DataError(
                owner=spec.ref,
                culprit=f"column '{name}' is {told}: no type holds the values of both",
                fix="declare its type under `columns` of the source: values that are not of it go to quarantine",
            )
    return tuple(differing)


def _rows(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[OpenedFile],
    *,
    as_text: Sequence[str],
    paths: str | None = None,
) -> duckdb.DuckDBPyRelation:
    """Return the rows of files, some columns ``as_text``; with ``paths`` (:func:`file_type`) each has its file's."""
    options = {"union_by_name": exp.true(), "hive_partitioning": exp.false()}
    rows = connection.sql(scan("read_parquet", files, options, file_type=paths).sql("duckdb"))
    replaced = [exp.column(name, quoted=True) for name in as_text if name in rows.columns]
    if not replaced:
        return rows
    texts = [exp.alias_(exp.cast(found, "varchar"), found.name, quoted=True).sql("duckdb") for found in replaced]
    return rows.project(f"* REPLACE ({', '.join(texts)})")


def _joined(connection: duckdb.DuckDBPyConnection, parts: Sequence[duckdb.DuckDBPyRelation]) -> str:
    name = gen_name("parquet")
    if len(parts) == 1:
        parts[0].create_view(name)
        return name
    views = []
    for part in parts:
        views.append(gen_name("part"))
        part.create_view(views[-1])
    union = " UNION ALL BY NAME ".join(f"FROM {view}" for view in views)
    connection.execute(f"CREATE VIEW {name} AS {union}")
    return name


def _joins_exactly(types: Sequence[pa.DataType]) -> bool:
    """Tell whether DuckDB's common type of these holds every value of each."""
    kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in types]
    kinds = [kind for kind in dict.fromkeys(kinds) if not pa.types.is_null(kind)]
    return len(kinds) <= 1 or any(test(kinds) for test in (_numbers, _decimals, _moments, _texts, _lists, _structs))


def _numbers(kinds: Sequence[pa.DataType]) -> bool:
    if all(map(pa.types.is_integer, kinds)):
        return pa.uint64() not in kinds or all(map(pa.types.is_unsigned_integer, kinds))
    if all(map(pa.types.is_floating, kinds)):
        return True
    return pa.float64() in kinds and all(kind == pa.float64() or kind in _EXACT_IN_DOUBLE for kind in kinds)


def _decimals(kinds: Sequence[pa.DataType]) -> bool:
    decimals = [kind for kind in kinds if isinstance(kind, pa.Decimal128Type | pa.Decimal256Type)]
    if len(decimals) < len(kinds):
        return False
    scale = max(kind.scale for kind in decimals)
    return bool(max(kind.precision - kind.scale for kind in decimals) + scale <= _MOST_DIGITS)


def _moments(kinds: Sequence[pa.DataType]) -> bool:
    # Without a time zone it is UTC, whatever stands beside it.
    return all(pa.types.is_timestamp(kind) or pa.types.is_date(kind) for kind in kinds)


def _texts(kinds: Sequence[pa.DataType]) -> bool:
    return all(kind in _TEXTS for kind in kinds)


def _lists(kinds: Sequence[pa.DataType]) -> bool:
    lists = [kind for kind in kinds if isinstance(kind, pa.ListType | pa.LargeListType)]
    return len(lists) == len(kinds) and _joins_exactly([kind.value_type for kind in lists])


def _structs(kinds: Sequence[pa.DataType]) -> bool:
    if not all(map(pa.types.is_struct, kinds)):
        return False
    fields: dict[str, list[pa.DataType]] = {}
    for field in (kind.field(index) for kind in kinds for index in range(kind.num_fields)):
        fields.setdefault(field.name, []).append(field.type)
    return all(map(_joins_exactly, fields.values()))

"""JSON: rows as they stand, the digits of numbers and the escapes of text kept."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.naming import FILE
from metaplatform.resources.sources.declared_columns import check_columns
from metaplatform.resources.sources.file_formats import FileFormat, FilesRead, KnownFiles, spread
from metaplatform.resources.sources.file_scans import file_type, scan
from metaplatform.resources.sources.guessed_types import typed
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.resources.sources.path_columns import with_values_of_paths
from metaplatform.specs.entities.ingestion import JsonSource
from metaplatform.sql.exact_casts import exact_cast, numbers_in_quotes

_NUMBER_MARK = "\ufdd0"
"""Stands before a number that has become text: Unicode keeps it from being in any text."""
_MARKED = f'"{_NUMBER_MARK}([^"]*)"'
_ROUNDED = r"[0-9]\.|[0-9]{16}|[0-9][eE]"
"""In JSON with none of that, every number is a small whole one."""
_TEXT_TOO = ("JSON", '"NULL"', "UUID")
_TOO_LARGE = ("HUGEINT", "UBIGINT")
_NO_OBJECTS = {"json": "JSON"}
"""What DuckDB infers of files without rows, and of values that are not objects."""


class JsonFormat(FileFormat[JsonSource]):
    """JSON, as an array of objects or an object a line: any of them may lack a key."""

    types = "inferred"
    sparse = True

    def read(self, connection: duckdb.DuckDBPyConnection, spec: JsonSource, files: Sequence[OpenedFile]) -> FilesRead:
        """Return a table with the rows of the files.

        Declared columns are text, or JSON where their type is nested; of others the type is inferred from all rows,
        such that no value changes.

        Raises:
            DataError: if the columns of all files together do not go with the declared ones.
        """
        types = _columns(connection, files, sample_size=-1)
        declared = spec.columns_of_files
        if types == _NO_OBJECTS and _is_empty(connection, files):
            types = dict.fromkeys(declared, "VARCHAR")
        frozen = spec.contract == "freeze"
        check_columns(list(types), declared, frozen=frozen, owner=spec.ref, culprit=spec.path)
        table, paths = gen_name("json"), file_type(connection, files)
        with_values_of_paths(_rows(connection, spec, files, types, paths=paths), files, spec).create(table)
        return FilesRead(_as_inferred(connection, table, spec, types))

    def apart(self, spec: JsonSource) -> bool:
        """Tell whether all columns are declared: the types of others are inferred from all files together."""
        return bool(spec.columns) and spec.contract == "freeze"

    def known(
        self, connection: duckdb.DuckDBPyConnection, spec: JsonSource, files: Sequence[OpenedFile], *, looked_at: int
    ) -> KnownFiles:
        """Return those of some of the files that hold rows, with the keys of the first; all files where none does."""
        types = {file: _columns(connection, [file], sample_size=looked_at) for file in spread(files)}
        filled = {file: found for file, found in types.items() if found != _NO_OBJECTS}
        # Of files without a row nothing can be said.
        columns = {file: tuple(found) for file, found in filled.items()}
        columns = columns or dict.fromkeys(files, tuple(spec.columns_of_files))

        def rows(file: OpenedFile) -> duckdb.DuckDBPyRelation:
            found = filled.get(file) or dict.fromkeys(columns.get(file, ()), "VARCHAR") or _NO_OBJECTS
            return _rows(connection, spec, [file], found)

        return KnownFiles(columns, rows)

    def in_lines(self, name: str) -> bool:
        """Tell whether the file holds an object a line, rather than an array of them."""
        return not name.endswith(".json")

    def typed(
        self,
        connection: duckdb.DuckDBPyConnection,
        spec: JsonSource,
        table: str,
        files: Sequence[OpenedFile],
        *,
        looked_at: int,
    ) -> str:
        """Return the name of a table with the undeclared columns in the types that DuckDB infers for them."""
        return _as_inferred(connection, table, spec, _columns(connection, files, sample_size=looked_at))

    def column(
        self,
        connection: duckdb.DuckDBPyConnection,
        spec: JsonSource,
        known: KnownFiles,
        files: Sequence[OpenedFile],
        name: str,
    ) -> list[duckdb.DuckDBPyRelation]:
        """Return the values of one key, null where a row lacks it."""
        del known
        return [_rows(connection, spec, files, {name: "VARCHAR"})]

    def refuse_unnamed(
        self, connection: duckdb.DuckDBPyConnection, spec: JsonSource, file: OpenedFile, columns: Sequence[str]
    ) -> None:
        """Refuse values other than objects: they have no keys."""
        del columns
        try:
            connection.read_json(str(file.path), records="true", hive_partitioning=False)
        except duckdb.BinderException as error:
            fix = "give JSON objects with columns"
            raise DataError(owner=spec.ref, culprit=f"{file.name} holds no objects", fix=fix) from error


def _columns(connection: duckdb.DuckDBPyConnection, files: Sequence[OpenedFile], *, sample_size: int) -> dict[str, str]:
    """Return the columns of the files together, each with the type that DuckDB infers from ``sample_size`` rows."""
    paths: Any = [str(file.path) for file in files]
    found = connection.read_json(paths, union_by_name=True, sample_size=sample_size, hive_partitioning=False)
    return dict(zip(found.columns, map(str, found.types), strict=True))


def _rows(
    connection: duckdb.DuckDBPyConnection,
    spec: JsonSource,
    files: Sequence[OpenedFile],
    types: Mapping[str, str],
    *,
    paths: str | None = None,
) -> duckdb.DuckDBPyRelation:
    """Return the rows of files with the columns of ``types``: text as it is meant, all else as JSON has it.

    ``paths`` is the type of the files' paths (:func:`file_type`), where each row is to have its own.
    """
    if set(types) == set(_NO_OBJECTS):
        # Values that are not objects, or objects of that one key.
        one = exp.PropertyEQ(this=exp.to_identifier("json"), expression=exp.Literal.string("VARCHAR"))
        options = {"columns": exp.Struct(expressions=[one]), "hive_partitioning": exp.false()}
        return connection.sql(scan("read_json", files, options, file_type=paths).sql("duckdb"))
    objects = scan("read_json_objects", files, {}, file_type=paths)
    path = [exp.column(FILE, quoted=True)] if paths else []
    whole = exp.column("json")
    rounded = exp.func("regexp_matches", whole.copy(), exp.Literal.string(_ROUNDED), dialect="duckdb")
    exact = exp.Case(ifs=[exp.If(this=rounded, true=numbers_in_quotes(whole, _NUMBER_MARK))], default=whole.copy())
    structure = exp.Literal.string(json.dumps(dict.fromkeys(types, "JSON"), ensure_ascii=False))
    parts = exp.Anonymous(this="json_transform", expressions=[exact, structure])
    values = exp.select(exp.alias_(parts, "parts"), *path).from_(objects.subquery("objects"))
    nested = {name for name, kind in (*types.items(), *spec.columns.items()) if _is_nested(kind)}
    selected = [exp.alias_(_value(name, nested=name in nested), name, quoted=True) for name in types]
    selected += [each.copy() for each in path]
    return connection.sql(exp.select(*selected).from_(values.subquery("rows")).sql("duckdb"))


def _as_inferred(connection: duckdb.DuckDBPyConnection, table: str, spec: JsonSource, types: Mapping[str, str]) -> str:
    """Return the name of a table with its undeclared columns in ``types``, where that changes no value."""
    readings = {}
    for name, inferred in types.items():
        # What DuckDB takes for huge may still be whole numbers of 64 bits.
        kind = "BIGINT" if inferred in _TOO_LARGE else inferred
        if name in spec.columns or kind.startswith(_TEXT_TOO) or any(large in kind for large in _TOO_LARGE):
            continue
        found = exp.DataType.build("json" if _is_nested(kind) else "varchar", dialect="duckdb")
        target = exp.DataType.build(kind, dialect="duckdb")
        readings[name] = [exact_cast(exp.column(name, quoted=True), target, found, nearest=False)]
    return typed(connection, table, readings)


def _value(name: str, *, nested: bool) -> exp.Expr:
    """Return a key's value of the ``parts`` of a row."""
    value = exp.Anonymous(this="struct_extract", expressions=[exp.column("parts"), exp.Literal.string(name)])
    plain = exp.Anonymous(this="json_extract_string", expressions=[value, exp.Literal.string("$")])
    # Numbers inside lists and objects are numbers again.
    restored = exp.func(
        "regexp_replace", plain.copy(), *map(exp.Literal.string, (_MARKED, r"\1", "g")), dialect="duckdb"
    )
    kind = exp.Anonymous(this="json_type", expressions=[value.copy()])
    inside = exp.In(this=kind, expressions=[exp.Literal.string(each) for each in ("OBJECT", "ARRAY")])
    bare = exp.func("replace", plain, exp.Literal.string(_NUMBER_MARK), exp.Literal.string(""), dialect="duckdb")
    text = exp.Case(ifs=[exp.If(this=inside, true=restored)], default=bare)
    return exp.TryCast(this=text, to=exp.DataType.build("json", dialect="duckdb")) if nested else text


def _is_nested(kind: str) -> bool:
    folded = kind.upper()
    return folded.startswith(("STRUCT", "MAP")) or folded.endswith("]")


def _is_empty(connection: duckdb.DuckDBPyConnection, files: Sequence[OpenedFile]) -> bool:
    paths: Any = [str(file.path) for file in files]
    return connection.read_json(paths, hive_partitioning=False).limit(1).fetchall() == []

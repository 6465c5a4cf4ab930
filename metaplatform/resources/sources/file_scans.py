"""DuckDB's table functions over files, each row with the file that it comes from where that is asked for."""

from collections.abc import Mapping, Sequence

import duckdb
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.naming import FILE
from metaplatform.resources.sources.opened_files import OpenedFile


def file_type(connection: duckdb.DuckDBPyConnection, files: Sequence[OpenedFile]) -> str:
    """Return the name of a new type whose values are the paths of the files: a row holds a number, not the text."""
    name = gen_name("files")
    paths = ", ".join(exp.Literal.string(str(file.path)).sql("duckdb") for file in files)
    connection.execute(f"CREATE TYPE {name} AS ENUM ({paths})")
    return name


def scan(
    function: str, files: Sequence[OpenedFile], options: Mapping[str, exp.Expr], *, file_type: str | None = None
) -> exp.Select:
    """Return a query of all rows of files; with a ``file_type``, their path is in the column :data:`FILE`."""
    listed = exp.Array(expressions=[exp.Literal.string(str(file.path)) for file in files])
    named = {**options, **({"filename": exp.Literal.string(FILE)} if file_type else {})}
    given = [exp.PropertyEQ(this=exp.to_identifier(name), expression=value) for name, value in named.items()]
    table = exp.Table(this=exp.Anonymous(this=function, expressions=[listed, *given]))
    if not file_type:
        return exp.select("*").from_(table)
    path = exp.Cast(this=exp.column(FILE, quoted=True), to=exp.DataType.build(file_type, udt=True))
    return exp.select(exp.Star(replace=[exp.alias_(path, FILE, quoted=True)])).from_(table)

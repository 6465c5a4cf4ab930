"""The book's queries on a session: composed as syntax trees, their failures told in the book's terms."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import duckdb
import ibis
import pyarrow as pa
from ibis.expr import operations as ops
from sqlglot import exp

from metaplatform.errors import DataError, StorageError
from metaplatform.naming import PARTITION, ref_prefix
from metaplatform.sql.dialect import sql_text

_LINEAR = (ops.DatabaseTable, ops.Filter, ops.Project, ops.DropColumns, ops.Sort)
_WITH_PLANS_OF_THEIR_OWN = (ops.Subquery, ops.Reduction, ops.Analytic)
_STORAGE_FAULTS = ("IO Error", "Out of Memory Error", "Fatal Error", "INTERNAL Error")


def with_tables(
    sql: exp.Query, views: Mapping[str, str], *, owner: str, apart: Collection[str] = (), key: exp.Expr | None = None
) -> exp.Query:
    """Return a copy of ``sql`` that reads the view ``views[ref]`` wherever it names the table ``ref``.

    Of the tables ``apart`` it reads those rows only whose partition is ``key``. Like DuckDB, it does not tell upper
    from lower case in table names.

    Raises:
        DataError: if it names a table that is not among ``views``.
    """
    query = sql.copy()
    by_name = {ref.casefold(): view for ref, view in views.items()}
    prefixes = {ref_prefix(ref).casefold() for ref in views}
    for table in list(query.find_all(exp.Table)):
        if not table.db or not isinstance(table.this, exp.Identifier):
            continue
        ref = f"{table.db}.{table.name}"
        if table.catalog or ref.casefold() not in by_name:
            known = ", ".join(sorted(views)) or "no table"
            raise DataError(
                owner=owner,
                culprit=f"the query reads '{sql_text(table)}', but was given {known}",
                fix="name a source, a table or a prediction of the book",
            )
        if not table.alias:
            table.set("alias", exp.TableAlias(this=table.this.copy()))
        table.set("this", exp.to_identifier(by_name[ref.casefold()], quoted=True))
        table.set("db", None)
        if key is not None and ref.casefold() in {each.casefold() for each in apart}:
            table.replace(_in_partition(table, key))
    for column in list(query.find_all(exp.Column)):
        if column.args.get("db") and column.text("db").casefold() in prefixes:
            column.set("db", None)
    return query


def _in_partition(table: exp.Table, key: exp.Expr) -> exp.Subquery:
    """Return the rows of ``table`` whose partition is ``key``, under the name and with all else that the table has."""
    own = exp.column(exp.to_identifier(PARTITION, quoted=True))
    rows = exp.select("*").from_(exp.Table(this=table.this.copy())).where(exp.EQ(this=own, expression=key.copy()))
    rest = {name: value for name, value in table.args.items() if name not in {"this", "db", "catalog"}}
    return exp.Subquery(this=rows, **rest)


def storable_integers(schema: pa.Schema, ibis_schema: ibis.Schema) -> pa.Schema:
    """Return ``schema`` with the types that Ibis expects where DuckDB widens a sum of integers to HUGEINT."""
    fields = [
        pa.field(field.name, pa.int64())
        if pa.types.is_decimal(field.type) and ibis_schema[field.name].is_integer()
        else field
        for field in schema
    ]
    return pa.schema(fields)


def is_scan(expr: ibis.Table, stored: Collection[str]) -> bool:
    """Tell whether ``expr`` does no more than filter, project and sort the rows of one of the tables ``stored``.

    Nothing is said of what else DuckDB might stream safely: its planner turns windows, limits and subqueries into
    joins of its own.
    """
    node = expr.op()
    tables = node.find(ops.DatabaseTable)
    linear = all(isinstance(each, _LINEAR) for each in node.find(ops.Relation))
    return linear and all(table.name in stored for table in tables) and not node.find(_WITH_PLANS_OF_THEIR_OWN)


def typed(expr: ibis.Table) -> ibis.Table:
    """Return ``expr`` with its columns that have no type at all as text, for a table that it is computed into."""
    untyped = {name: "string" for name, kind in expr.schema().items() if kind.is_null()}
    return expr.cast(untyped) if untyped else expr


@contextmanager
def query_errors(owner: str) -> Iterator[None]:
    """Turn DuckDB's errors into ours.

    Raises:
        DataError: if the query or a row is at fault.
        StorageError: if disk or memory is.
    """
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        # A failure in the middle of a stream reaches us as an OSError with DuckDB's message in it.
        message = str(error).split("\n\nLINE ", maxsplit=1)[0].strip()
        if message.startswith(_STORAGE_FAULTS):
            raise StorageError(
                owner=owner, culprit=message, fix="check disk space, or give the warehouse more memory_limit"
            ) from error
        raise DataError(
            owner=owner, culprit=message, fix="correct the SQL in the book, or the rows it reads"
        ) from error

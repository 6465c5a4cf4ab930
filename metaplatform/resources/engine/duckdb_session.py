"""DuckDB as the engine: an in-memory database a session, views over Delta tables, streams that wait for nobody."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.expr import operations as ops
from sqlglot import exp

from metaplatform.errors import StorageError
from metaplatform.naming import PARTITION
from metaplatform.resources.delta.delta_tables import latest_table, table_folder
from metaplatform.resources.engine.duckdb_connections import delta_scan, load_delta
from metaplatform.resources.engine.queries import is_scan, query_errors, storable_integers, typed, with_tables
from metaplatform.resources.engine.session import FileKind, Session
from metaplatform.sql.dialect import for_engine, literal, sql_text

_SCHEMAS: dict[str, ibis.Schema] = {}
"""What DuckDB tells of the columns of Delta tables, by what their logs tell: asked once in each process."""


class DuckDBSession(Session):
    """An in-memory DuckDB database of its own, with views over Delta tables."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, root: Path, folder: Path, *, threads: int) -> None:
        self.backend: Backend = ibis.duckdb.from_connection(connection)
        self.folder = folder
        self.threads = threads
        self.release = f"duckdb {duckdb.__version__}"
        self._connection = connection
        self._root = root
        self._cursors = ExitStack()
        self._versions: dict[str, int] = {}
        self._views: dict[str, ibis.Table] = {}
        self._tables: set[str] = set()
        self._numbers = count(1)

    def close(self) -> None:
        """Close what readers have open."""
        # Closing waits for a query at work, one that was told to stop as well.
        self._connection.interrupt()
        self._cursors.close()

    def table(self, ref: str, *, version: int | None = None) -> ibis.Table:
        """Return table ``ref``, as a view over its files at ``version``."""
        folder = table_folder(self._root, ref)
        pinned, columns = self._versions.get(ref) if version is None else version, ""
        if pinned is None:
            table = latest_table(folder)
            if table is None:
                raise StorageError(owner=ref, culprit="the table does not exist yet", fix=f"materialize {ref} first")
            pinned, columns = table.version(), table.schema().to_json()
            self._versions[ref] = pinned
        view = f"{ref}@{pinned}"
        if view not in self._views:
            self._create_delta_view(view, folder, ref, pinned)
            self._views[view] = self._described(view, columns)
        return self._views[view]

    def _described(self, view: str, columns: str) -> ibis.Table:
        """Return a view of a Delta table with the ``columns`` that its log tells, ``""`` if they are not known."""
        schema = _SCHEMAS.get(columns)
        if schema is None:
            found = self.backend.table(view)
            _SCHEMAS.update({columns: found.schema()} if columns else {})
            return found
        return ibis.Table(ops.DatabaseTable(view, schema=schema, source=self.backend, namespace=ops.Namespace()))

    def _create_delta_view(self, view: str, folder: Path, ref: str, version: int) -> None:
        if not self._views:
            load_delta(self._connection)
        pinned = exp.PropertyEQ(this=exp.to_identifier("version"), expression=exp.Literal.number(version))
        created = exp.Create(
            this=exp.Table(this=exp.to_identifier(view, quoted=True)),
            kind="VIEW",
            expression=exp.select("*").from_(delta_scan(folder, pinned)),
        )
        try:
            self._connection.execute(sql_text(created))
        except duckdb.Error as error:
            raise StorageError(
                owner=ref, culprit=f"version {version} cannot be read: {error}", fix="name a version of its history"
            ) from error

    def query(self, sql: exp.Query, tables: Mapping[str, ibis.Table], *, owner: str = "query") -> ibis.Table:
        """Return the result of a query of the book, over a view of each table that it reads."""
        views = {ref: self._view(table) for ref, table in tables.items()}
        text = for_engine(with_tables(sql, views, owner=owner), self.backend.dialect)
        with query_errors(owner):
            return self.backend.sql(text)

    def query_each(
        self,
        sql: exp.Query,
        tables: Mapping[str, ibis.Table],
        *,
        apart: Collection[str],
        partitions: Sequence[str],
        owner: str = "query",
    ) -> ibis.Table:
        """Return the results of a query for each partition: a lateral join, which DuckDB makes one of equal keys."""
        columns = [name for name in self.query(sql, tables, owner=owner).columns if name != PARTITION]
        views = {ref: self._view(table) for ref, table in tables.items()}
        keys, made = (exp.to_identifier(name, quoted=True) for name in (f"keys_{next(self._numbers)}", "made"))
        self.backend.create_table(keys.name, pa.table({PARTITION: pa.array(partitions, pa.string())}))
        key = exp.column(exp.to_identifier(PARTITION, quoted=True), table=keys)
        query = with_tables(sql, views, owner=owner, apart=apart, key=key)
        selected = [exp.column(exp.to_identifier(name, quoted=True), table=made) for name in columns]
        lateral = exp.Lateral(this=query.subquery(copy=False), alias=exp.TableAlias(this=made))
        each = exp.select(*selected, key).from_(exp.Table(this=keys)).join(lateral, join_type="cross", copy=False)
        with query_errors(owner):
            return self.backend.sql(for_engine(each, self.backend.dialect))

    def _view(self, table: ibis.Table) -> str:
        name = f"view_{next(self._numbers)}"
        if table.op().find(ops.InMemoryTable):
            self.backend.create_table(name, table)
        else:
            self.backend.create_view(name, table)
        return name

    def keep(self, expr: ibis.Table, *, owner: str = "query") -> ibis.Table:
        """Return ``expr`` computed once into a table of this session."""
        name = f"table_{next(self._numbers)}"
        with query_errors(owner):
            table = self.backend.create_table(name, typed(expr))
        self._tables.add(name)
        return table

    def stream(self, expr: ibis.Table, *, chunk: int = 100_000, owner: str = "query") -> pa.RecordBatchReader:
        """Return the rows of ``expr`` as a stream of batches of ``chunk`` rows, on a cursor of its own.

        They are computed as they are read where ``expr`` is a scan of one table, and before that into a temporary
        table, which spills to ``folder``, where it is more: DuckDB waits forever for some plans whose result is
        streamed. DuckDB's sums of integers are HUGEINT, and come as BIGINT.
        """
        cursor = self._cursor(expr)
        computed = ""
        if is_scan(expr, self._views.keys() | self._tables):
            query = self.backend.compile(expr)
        else:
            computed = sql_text(exp.table_(f"computed_{next(self._numbers)}", quoted=True))
            with query_errors(owner):
                cursor.execute(f"CREATE TEMP TABLE {computed} AS {self.backend.compile(typed(expr))}")
            query = f"FROM {computed}"
        with query_errors(owner):
            source = cursor.sql(query).to_arrow_reader(chunk)
        schema = storable_integers(source.schema, expr.schema())

        def batches() -> Iterator[pa.RecordBatch]:
            with query_errors(owner):
                for batch in source:
                    yield batch.cast(schema)
                if computed:
                    cursor.execute(f"DROP TABLE {computed}")

        return pa.RecordBatchReader.from_batches(schema, batches())

    def export(self, expr: ibis.Table, path: Path, *, kind: FileKind, owner: str = "query") -> int:
        """Write the rows of ``expr`` to one file by COPY; return how many."""
        form = "FORMAT parquet, COMPRESSION zstd" if kind == "parquet" else "FORMAT csv, HEADER"
        target = literal(str(path))
        with query_errors(owner):
            copied = self._cursor(expr).execute(f"COPY ({self.backend.compile(expr)}) TO {target} ({form})").fetchall()
        return int(copied[0][0])

    def _cursor(self, expr: ibis.Table) -> duckdb.DuckDBPyConnection:
        """Return a cursor that knows what ``expr`` reads; a result on one is not cut short by the next query."""
        cursor = self._cursors.enter_context(self._connection.cursor())
        self._cursors.callback(cursor.interrupt)
        for table in expr.op().find(ops.InMemoryTable):
            cursor.register(table.name, table.data.to_pyarrow(table.schema))
        return cursor

"""A table of the book made for a look at its rows: from the files, as they are now, in memory and out of it again."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
from sqlglot import exp

from metaplatform.chapters import SOURCES, TABLES
from metaplatform.compute.chosen_rows import read_by
from metaplatform.compute.ingestion import conform
from metaplatform.compute.local_time import in_period, key, periods_table
from metaplatform.compute.sql_columns import ROW, Steps, all_columns, column, named, source
from metaplatform.errors import DataError
from metaplatform.naming import PARTITION, ref_name
from metaplatform.resources.engine.session import Session
from metaplatform.resources.sources.first_rows import ROWS
from metaplatform.resources.sources.readers import read_rows
from metaplatform.resources.sources.samples import Sample
from metaplatform.resources.sources.sampling import look_at
from metaplatform.resources.sources.source_reader import Place
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.entities.ingestion import Source, TableSpec
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.sql.dialect import call, type_of
from metaplatform.sql.expressions import parse_query, referenced_tables

_MOST_PARTITIONS = 60
_MICROS = 1_000_000


def sample_table(manifest: Manifest, ref: str, *, twins_of: str | None = None) -> Sample:
    """Return what a source or table holds as a run would store it: typed, derived, queried.

    All files behind it are read. Of a table with many partitions some are made, from the first to the last.

    Raises:
        DataError: if the files cannot be read, its query fails, it reads what runs alone can make, or has no rows.
    """
    with tempfile.TemporaryDirectory() as folder, Warehouse(root=folder).session() as session:
        rows = _Tried(manifest, session).rows(ref)
        rows = rows.drop(PARTITION) if PARTITION in rows.columns else rows
        whole = session.keep(rows, owner=ref)
        connection, looked = session.backend.con, whole.get_name()
        count = int(connection.table(looked).count("*").fetchall()[0][0])
        if not count:
            raise DataError(owner=ref, culprit="it has no rows", fix="see what its files and its query give")
        if count > ROWS:
            some = f"SELECT * FROM {looked} USING SAMPLE reservoir({ROWS} ROWS) REPEATABLE (1)"  # noqa: S608
            connection.execute(f"CREATE TEMP TABLE looked_at AS {some}")
            looked = "looked_at"
        return look_at(connection, looked, twins_of=twins_of)


@dataclass(frozen=True)
class _Tried:
    """Tables of a session by reference, each made once."""

    manifest: Manifest
    session: Session
    made: dict[str, ibis.Table] = field(default_factory=dict)

    def rows(self, ref: str) -> ibis.Table:
        """Return the rows of a source or table, with ``_partition`` beside if it has partitions."""
        if ref not in self.made:
            self.made[ref] = self.session.keep(self._rows(ref), owner=ref)
        return self.made[ref]

    def _rows(self, ref: str) -> ibis.Table:
        found = self.manifest.source_at(ref)
        if found is not None:
            return self._of_files(found)
        table = self.manifest.tables.get(ref_name(ref)) if TABLES.holds(ref) else None
        if table is None:
            fix = "write the entry by hand, or let the table read sources and tables alone"
            raise DataError(owner=ref, culprit="only runs make it: its rows cannot be told from the files", fix=fix)
        inputs = {other: self.rows(other) for other in referenced_tables(table.sql)}
        parent, scheme = table.partitioned_by, self.manifest.partitions(ref)
        if parent is None or scheme is None:
            return self._query(ref, table, inputs)
        parts = [self._part(ref, table, inputs, scheme, each) for each in self._keys(parent)]
        return ibis.union(*parts) if parts else self._query(ref, table, inputs)

    def _query(self, ref: str, table: TableSpec, inputs: Mapping[str, ibis.Table]) -> ibis.Table:
        return self.session.query(parse_query(table.sql), inputs, owner=ref)

    def _of_files(self, found: SourceSpec) -> ibis.Table:
        read = read_rows(self.session, found, Place.of(self.manifest))
        rows = conform(read.rows, found).accepted
        return _with_partition(rows, found, found.partitions) if found.partitions else rows

    def _keys(self, parent: str) -> list[str]:
        keys = self.rows(parent).select(PARTITION).distinct().order_by(PARTITION)
        every = [row[PARTITION] for row in self.session.stream(keys).read_all().to_pylist()]
        return every[:: max(1, len(every) // _MOST_PARTITIONS)] if len(every) > _MOST_PARTITIONS else every

    def _part(
        self, ref: str, table: TableSpec, inputs: Mapping[str, ibis.Table], scheme: PartitionSpec, key_: str
    ) -> ibis.Table:
        within = {other: self._within(ref, other, rows, scheme, key_) for other, rows in inputs.items()}
        return self._query(ref, table, within).mutate(**{PARTITION: ibis.literal(key_)})

    def _within(self, ref: str, other: str, rows: ibis.Table, scheme: PartitionSpec, key_: str) -> ibis.Table:
        """Return what a partition reads of an input."""
        reach = self.manifest.reads(ref)[other][0]
        return read_by(rows, key_, scheme.window(key_), reach, self.manifest.event_timestamp(other))


def _with_partition(rows: ibis.Table, found: Source, scheme: PartitionSpec) -> ibis.Table:
    steps = Steps(SOURCES.ref(found.name), {"rows": rows})
    moment = next(name for name in rows.columns if name.lower() == str(found.event_timestamp).lower())
    micros = call("epoch_us", column(moment, ROW))
    second = exp.Cast(
        this=call("floor", exp.Div(this=micros, expression=exp.Literal.number(float(_MICROS)))),
        to=type_of("bigint"),
    )
    query = exp.select(all_columns(ROW), named(key(second, scheme), PARTITION)).from_(source("rows"))
    query.append("joins", exp.Join(this=periods_table(scheme), on=in_period(second)))
    return steps.finish(query)

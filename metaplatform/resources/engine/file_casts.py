"""Rows of a Parquet file in other types, batch by batch."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from metaplatform.sql.dialect import sql_text, type_of


def cast_batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file in ``schema``; a value that has no like in its new type is null.

    So is a column that the file is older than.
    """
    with duckdb.connect() as engine:
        kinds = dict(zip(schema.names, engine.from_arrow(schema.empty_table()).types, strict=True))
        there = set(pq.read_schema(path).names)
        cells = [_cell(name, str(kind), known=name in there) for name, kind in kinds.items()]
        query = exp.select(*cells).from_(exp.func("read_parquet", exp.Literal.string(str(path))))
        for batch in engine.sql(sql_text(query)).to_arrow_reader():
            yield pa.RecordBatch.from_arrays(
                [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)], schema=schema
            )


def _cell(name: str, kind: str, *, known: bool) -> exp.Expr:
    value = exp.column(name, quoted=True) if known else exp.null()
    return exp.alias_(exp.TryCast(this=value, to=type_of(kind)), name, quoted=True)

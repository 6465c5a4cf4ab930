"""How many rows of a source's files each quarter of an hour has: one column is read, and nothing is kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import duckdb
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.specs.book.source_looks import SLOT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def count_moments(
    connection: duckdb.DuckDBPyConnection, files: Sequence[duckdb.DuckDBPyRelation], column: str
) -> Mapping[datetime, int]:
    """Return the rows of ``files`` by the start (UTC) of the slot that ``column`` lies in.

    Values that are not moments are left out, and so are files without the column; empty if they are not moments at all.
    """
    found = Counter[datetime]()
    for rows in files:
        if column not in rows.columns:
            continue
        view = gen_name("moments")
        rows.create_view(view)
        moment = exp.TryCast(this=exp.column(column, quoted=True), to=exp.DataType.build("timestamptz"))
        read = exp.select(exp.alias_(moment, "moment")).from_(exp.to_identifier(view))
        slot = exp.func("floor", exp.Div(this=exp.func("epoch", exp.column("moment")), expression=exp.convert(SLOT)))
        years = exp.Between(this=exp.func("year", exp.column("moment")), low=exp.convert(1), high=exp.convert(9999))
        query = exp.select(slot, exp.Count(this=exp.Star())).from_(read.subquery()).where(years)
        query = query.where(exp.func("isfinite", exp.column("moment"))).group_by(exp.convert(1))
        try:
            counted = connection.execute(query.sql("duckdb")).fetchall()
        except duckdb.Error:
            return {}
        for number, count in counted:
            found[_EPOCH + timedelta(seconds=SLOT * int(number))] += count
    return found

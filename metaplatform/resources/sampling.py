"""A look at files that no source reads yet: their columns, and what a bounded sample of their rows holds."""

import tempfile
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.resources.duckdb_connections import memory_connection
from metaplatform.resources.sampled_columns import twin_columns, unique_keys
from metaplatform.resources.sampled_rows import SAMPLE_TABLE, load_sample
from metaplatform.resources.samples import FEW, ColumnFacts, Sample
from metaplatform.resources.source_files import find_files, unpacked
from metaplatform.specs.ingestion import FileSource

MARKERS = ("", "NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "NaN", "nan", "-", "?", "\\N")
"""Texts that stand for nothing in files found in the wild."""
DATE_FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d")
CLOCK_FORMATS = ("", " %H:%M", " %H:%M:%S")
_DECIMAL_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+"
_OFFSET = r".*\d([+-]\d\d(:?\d\d)?|Z)"
_TIMES = ("date", "timestamptz", "timestamp", *(day + clock for day in DATE_FORMATS for clock in CLOCK_FORMATS))
_TABLE = SAMPLE_TABLE


def sample_source(spec: FileSource, project_root: str, *, twins_of: str | None = None) -> Sample:
    """Return what a sample of the source's rows holds, and which columns are twins of ``twins_of``.

    Raises:
        DataError: if there is no file, none can be read, or there is no row.
    """
    owner = f"raw.{spec.name}"
    paths = find_files(spec, project_root)
    with tempfile.TemporaryDirectory() as folder, memory_connection(Path(folder)) as connection:
        labels = unpacked(paths, spec, Path(folder), owner=owner)
        try:
            loaded = load_sample(connection, spec, labels)
            _refuse_empty(connection, paths[0], loaded.rejected, owner=owner)
            columns = _columns(connection)
            rows = _rows(connection)
            return Sample(
                paths,
                rows,
                loaded.whole,
                columns,
                unique_keys(connection, _TABLE, columns, rows),
                loaded.delimiter,
                rejected=loaded.rejected,
                twins=twin_columns(connection, _TABLE, columns, twins_of, rows),
                not_everywhere=loaded.not_everywhere,
            )
        except duckdb.Error as error:
            shown = str(error).splitlines()[0]
            raise DataError(owner=owner, culprit=f"{spec.path}: {shown}", fix="give an intact file") from error


def _rows(connection: duckdb.DuckDBPyConnection) -> int:
    return int(connection.table(_TABLE).count("*").fetchall()[0][0])


def _refuse_empty(connection: duckdb.DuckDBPyConnection, path: Path, rejected: str, *, owner: str) -> None:
    if _rows(connection) == 0:
        told = f"{path} has no rows" + (f": {rejected}" if rejected else "")
        fix = (
            "see that its first line names the columns" if rejected else "put some there: types are inferred from them"
        )
        raise DataError(owner=owner, culprit=told, fix=fix)


def _columns(connection: duckdb.DuckDBPyConnection) -> tuple[ColumnFacts, ...]:
    table = connection.table(_TABLE)
    return tuple(_column(connection, name, str(kind)) for name, kind in zip(table.columns, table.types, strict=True))


def _column(connection: duckdb.DuckDBPyConnection, name: str, kind: str) -> ColumnFacts:
    found = exp.column(name, quoted=True)
    markers = _markers(connection, found) if kind == "VARCHAR" else {}
    value = _unless_marked(found) if markers else found
    text = exp.cast(value.copy(), "varchar", dialect="duckdb")
    tests = _tests(value) if kind == "VARCHAR" else {}
    counts = (value, exp.Distinct(expressions=[text]), *tests.values())
    values, distinct, *fitting = _row(connection, *(exp.Count(this=each.copy()) for each in counts))
    fits = dict(zip(tests, map(int, fitting), strict=True))
    timed = next((tests[each] for each in tests if each in _TIMES and values and fits[each] == values), None)
    timed = value if kind.startswith(("DATE", "TIMESTAMP")) else timed
    moments = [exp.cast(timed.copy(), "timestamp", dialect="duckdb")] * 2 if timed else [exp.null()] * 2
    first, last = _row(connection, exp.Min(this=moments[0].copy()), exp.Max(this=moments[1].copy()))
    return ColumnFacts(
        name, kind, int(values), int(distinct), fits, markers, first, last, _few(connection, text, int(distinct))
    )


def _markers(connection: duckdb.DuckDBPyConnection, found: exp.Column) -> dict[str, int]:
    counted = exp.select(found.copy(), exp.Count(this=exp.Star())).from_(_TABLE)
    counted = counted.where(exp.In(this=found.copy(), expressions=_marks())).group_by(found.copy())
    return dict(connection.execute(counted.sql("duckdb")).fetchall())


def _unless_marked(found: exp.Column) -> exp.Expr:
    marked = exp.In(this=found.copy(), expressions=_marks())
    return exp.Case(ifs=[exp.If(this=marked, true=exp.null())], default=found.copy())


def _marks() -> list[exp.Expr]:
    return [exp.Literal.string(mark) for mark in MARKERS]


def _row(connection: duckdb.DuckDBPyConnection, *facts: exp.Expr) -> tuple[Any, ...]:
    row: tuple[Any, ...] = connection.execute(exp.select(*facts).from_(_TABLE).sql("duckdb")).fetchall()[0]
    return row


def _few(connection: duckdb.DuckDBPyConnection, text: exp.Expr, distinct: int) -> tuple[str, ...]:
    """Return the column's values, sorted, if there are only a few."""
    if distinct > FEW:
        return ()
    there = exp.Not(this=exp.Is(this=text.copy(), expression=exp.null()))
    query = exp.select(exp.alias_(text.copy(), "value")).distinct().from_(_TABLE).where(there).order_by("value")
    return tuple(str(row[0]) for row in connection.execute(query.sql("duckdb")).fetchall())


def _tests(value: exp.Expr) -> dict[str, exp.Expr]:
    """Return, by type or format, an expression that is null unless the text is of it."""

    def cast(kind: str) -> exp.Expr:
        return exp.TryCast(this=value.copy(), to=exp.DataType.build(kind, dialect="duckdb"))

    def only_if(pattern: str, then: exp.Expr) -> exp.Expr:
        matched = exp.func("regexp_full_match", value.copy(), exp.Literal.string(pattern), dialect="duckdb")
        return exp.Case(ifs=[exp.If(this=matched, true=then)])

    same = exp.EQ(this=exp.cast(cast("bigint"), "varchar", dialect="duckdb"), expression=value.copy())
    tests = {
        "bigint": exp.Case(ifs=[exp.If(this=same, true=value.copy())]),
        "digits": only_if(r"[+-]?\d+", value.copy()),
        "double": cast("double"),
        "boolean": only_if("(?i)true|false", value.copy()),
        "date": only_if(r"\d{4}-\d\d?-\d\d?", cast("date")),
        "timestamptz": only_if(_OFFSET, cast("timestamptz")),
        "timestamp": cast("timestamp"),
        "decimal comma": only_if(f"{_DECIMAL_COMMA}|[+-]?\\d+", value.copy()),
    }
    for day in DATE_FORMATS:
        for clock in CLOCK_FORMATS:
            form = exp.Literal.string(day + clock)
            tests[day + clock] = exp.func("try_strptime", value.copy(), form, dialect="duckdb")
    return tests

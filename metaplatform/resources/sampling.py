"""A look at files that no source reads yet: their columns, and what a bounded sample of their rows holds."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.resources.csv_files import check_columns, read_header
from metaplatform.resources.duckdb_connections import memory_connection
from metaplatform.resources.sampled_columns import twin_columns, unique_keys
from metaplatform.resources.samples import FEW, ColumnFacts, Sample
from metaplatform.resources.source_files import find_files, unpacked
from metaplatform.specs.ingestion import CsvSource, FileSource, JsonSource

SAMPLE_ROWS = 20_000
"""Rows that are looked at, at most; half of the first file, half of the last."""
MARKERS = ("", "NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "NaN", "nan", "-", "?", "\\N")
"""Texts that stand for nothing in files found in the wild."""
DATE_FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d")
CLOCK_FORMATS = ("", " %H:%M", " %H:%M:%S")
_DECIMAL_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+"
_OFFSET = r".*\d([+-]\d\d(:?\d\d)?|Z)"
_TIMES = ("date", "timestamptz", "timestamp", *(day + clock for day in DATE_FORMATS for clock in CLOCK_FORMATS))
_TABLE = "sample"


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
            delimiter, whole, rejected = _load(connection, spec, labels)
            _refuse_empty(connection, paths[0], rejected, owner=owner)
            columns = _columns(connection)
            rows = _rows(connection)
            unique = unique_keys(connection, _TABLE, columns, rows)
            twins = twin_columns(connection, _TABLE, columns, twins_of, rows)
            return Sample(paths, rows, whole, columns, unique, delimiter, rejected, twins)
        except duckdb.Error as error:
            shown = str(error).splitlines()[0]
            raise DataError(owner=owner, culprit=f"{spec.path}: {shown}", fix="give an intact file") from error


def _load(
    connection: duckdb.DuckDBPyConnection, spec: FileSource, labels: Mapping[Path, str]
) -> tuple[str | None, bool, str]:
    """Make the table of sampled rows; return the delimiter of text, whether these are all rows, and lines left out."""
    ends = list(dict.fromkeys([next(iter(labels)), next(reversed(list(labels)))]))
    share = SAMPLE_ROWS // len(ends)
    delimiter: str | None = None
    parts = []
    for number, path in enumerate(ends):
        relation, delimiter = _relation(connection, spec, path, labels[path], number)
        relation.limit(share + 1).create(f"part_{number}")
        parts.append(f"part_{number}")
    whole = len(ends) == len(labels)
    for part in parts:
        counted = connection.table(part).count("*").fetchall()[0][0]
        whole = whole and counted <= share
    rows = " UNION ALL BY NAME ".join(f"(FROM {part} LIMIT {share})" for part in parts)
    connection.execute(f"CREATE TABLE {_TABLE} AS {rows}")
    return delimiter, whole, _rejected(connection, parts) if isinstance(spec, CsvSource) else ""


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

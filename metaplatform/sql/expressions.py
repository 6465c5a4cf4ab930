"""SQL in the book, parsed: what it reads, and its canonical form. DuckDB's dialect throughout."""

from functools import cache, lru_cache
from typing import cast

from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from metaplatform.extensions import extensions
from metaplatform.sql.canonical_sql import canonical_text
from metaplatform.sql.dialect import DIALECT
from metaplatform.sql.sql_safety import SqlError, check_expression, check_query, position_of

SQL_FIELDS = frozenset({"sql", "where", "when", "exclude", "rank_by"})
"""Fields of specs whose texts are SQL."""
NAMED_BY_THE_BOOK = frozenset({"formats", "metrics", "name_columns", "on", "parameters", "tags"})
"""Fields of specs that are mappings with keys of the book's own: a column named `where` is a name, not SQL."""
_UNORDERED = frozenset({"after", "exclude", "keep", "materialize", "monitors", "null_values", "tables"})
_QUERY_STARTS = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.L_PAREN})
_CACHED_TEXTS = 65_536
_CACHED_TREES = 8_192
_LONGEST_SQL = 40_000
_LONGEST_TYPE = 2_000


def parse_expression(sql: str) -> exp.Expression:
    """Return one parsed SQL expression: scalar or aggregate, over columns of one row set.

    Raises:
        SqlError: if it is not exactly one expression, or one with subqueries, window functions, or
            functions that are unknown, ask the clock or the dice, or reach outside the query.
    """
    tree = _parse_one(sql, expression=True)
    check_expression(tree)
    return tree


def parse_query(sql: str) -> exp.Query:
    """Return one parsed SELECT that reads references (``raw.flights``) and its own CTEs only.

    Raises:
        SqlError: if it is not exactly one such SELECT, or uses functions an expression may not use.
    """
    tree = _parse_one(sql, expression=False)
    if not isinstance(tree, exp.Query) or not _selects(tree):
        raise SqlError("a query is one SELECT", culprit=tree.key, fix="write `select … from raw.flights`")
    check_query(tree)
    return tree


@lru_cache(maxsize=_CACHED_TREES)
def shared_expression(sql: str) -> exp.Expression:
    """Return the expression as ``parse_expression`` does, the same tree each time: to look at, never to change.

    Raises:
        SqlError: as ``parse_expression`` does.
    """
    return parse_expression(sql)


@lru_cache(maxsize=_CACHED_TREES)
def shared_query(sql: str) -> exp.Query:
    """Return the query as ``parse_query`` does, the same tree each time: to look at, never to change.

    Raises:
        SqlError: as ``parse_query`` does.
    """
    return parse_query(sql)


@lru_cache(maxsize=_CACHED_TEXTS)
def referenced_tables(sql: str) -> tuple[str, ...]:
    """Return the references a query reads (``raw.flights``), CTEs left out, sorted.

    Raises:
        SqlError: as ``parse_query`` does.
    """
    return tuple(sorted({f"{table.db}.{table.name}" for table in shared_query(sql).find_all(exp.Table) if table.db}))


@lru_cache(maxsize=_CACHED_TEXTS)
def table_uses(sql: str) -> tuple[tuple[str, tuple[int, int]], ...]:
    """Return each reference of a query with the line and column of its first use; none if it does not parse."""
    try:
        tree = shared_query(sql)
    except SqlError:
        return ()
    found: dict[str, tuple[int, int]] = {}
    for table in tree.find_all(exp.Table, bfs=False):
        if table.db:
            found.setdefault(f"{table.db}.{table.name}", position_of(table.args["db"]))
    return tuple(found.items())


@lru_cache(maxsize=_CACHED_TEXTS)
def referenced_columns(sql: str) -> tuple[str, ...]:
    """Return the names of the columns an expression reads, in order of appearance, without repeats.

    A struct's field (``place.city``) counts as its column (``place``). Names are as written; DuckDB
    compares them without case.

    Raises:
        SqlError: as ``parse_expression`` does.
    """
    return tuple(dict.fromkeys(part.name for part in column_uses(shared_expression(sql))))


def column_uses(tree: exp.Expr) -> list[exp.Identifier]:
    """Return the identifier of each column that an expression reads, in order of appearance."""
    bound = {name.name.lower() for node in tree.find_all(exp.Comprehension) for name in _bound_names(node)}
    roots = [cast("exp.Identifier", column.parts[0]) for column in tree.find_all(exp.Column, bfs=False)]
    uses = [part for part in roots if isinstance(part, exp.Identifier) and part.name.lower() not in bound]
    return sorted(uses, key=lambda part: int(part.meta.get("start", 0)))


def canonical_fields(fields: object) -> object:
    """Return spec fields with every SQL text in canonical form, so that equal meaning compares equal.

    Comments, spacing, letter case of keywords, quoting, and the order of mappings and of lists that are
    sets change nothing; the order of key columns and of feature blocks is kept.

    Raises:
        SqlError: if a text is not SQL.
    """
    if isinstance(fields, dict):
        return {key: _canonical_value(key, value, fields) for key, value in sorted(fields.items())}
    if isinstance(fields, list | tuple):
        return [canonical_fields(item) for item in fields]
    return fields


def _canonical_value(key: str, value: object, siblings: dict[str, object]) -> object:
    if isinstance(value, str):
        return canonical_sql(value) if key in SQL_FIELDS else value
    if key in NAMED_BY_THE_BOOK:
        return _as_written(value)
    is_block = key == "columns" and "contract" not in siblings and siblings.get("kind") in _feature_kinds()
    if isinstance(value, dict) and (key == "derive" or is_block):
        return _canonical_columns(value, chained=key == "derive" or siblings["kind"] == "expression")
    if isinstance(value, dict) and key == "columns":
        return {name: canonical_type(written) for name, written in sorted(value.items())}
    if isinstance(value, list) and (key in _UNORDERED or key == "columns") and all(isinstance(v, str) for v in value):
        return sorted(value)
    return canonical_fields(value)


@cache
def _feature_kinds() -> frozenset[object]:
    return frozenset({"expression", "lookup", "as_of", "window", *extensions("features")})


def _as_written(value: object) -> object:
    return {key: _as_written(each) for key, each in sorted(value.items())} if isinstance(value, dict) else value


def _canonical_columns(columns: dict[str, str], *, chained: bool) -> object:
    """Return named expressions without order, unless one of a chain reads another, whose place then counts."""
    canonical = [[name, canonical_sql(sql)] for name, sql in columns.items()]
    names = {name.lower() for name in columns}
    reads = [(name.lower(), column.lower()) for name, sql in columns.items() for column in referenced_columns(sql)]
    ordered = chained and any(column in names - {name} for name, column in reads)
    return canonical if ordered else sorted(canonical)


@lru_cache(maxsize=_CACHED_TEXTS)
def canonical_sql(sql: str) -> str:
    """Return an expression or query in canonical form: see ``specs.canonical_sql``.

    Raises:
        SqlError: if it is neither.
    """
    tree = _either(sql)
    try:
        found = canonical_text(tree, _either)
    except (SqlError, RecursionError):
        found = None
    # A few odd texts parse into what cannot be written so that it is read again: those stand for themselves.
    return found if found is not None else sql.strip()


def _either(sql: str) -> exp.Expr:
    try:
        return shared_expression(sql)
    except SqlError:
        return shared_query(sql)


@lru_cache(maxsize=_CACHED_TEXTS)
def canonical_type(written: str) -> str:
    """Return a column type in canonical form (``integer`` and ``int`` alike).

    Raises:
        SqlError: if DuckDB has no such type.
    """
    if len(written) > _LONGEST_TYPE:
        raise _unknown_type(written[:80])
    try:
        found = DIALECT.parse_into(exp.DataType, written)
    except (ParseError, TokenError, RecursionError) as error:
        raise _unknown_type(written) from error
    if len(found) != 1 or found[0] is None:
        raise _unknown_type(written)
    return found[0].sql(dialect=DIALECT)


def _unknown_type(written: str) -> SqlError:
    return SqlError(
        f"'{written}' is not a type",
        culprit=written,
        fix="use one of DuckDB's types, such as bigint, double, varchar, boolean, date or timestamptz",
        rule="unknown-type",
    )


def _parse_one(sql: str, *, expression: bool) -> exp.Expression:
    if len(sql) > _LONGEST_SQL:
        message, fix = f"the SQL is longer than {_LONGEST_SQL:,} characters", "split it, or make its list a source"
        raise SqlError(message, culprit=sql.strip()[:80], fix=fix, rule="sql-too-long")
    try:
        tokens = DIALECT.tokenize(sql)
        _check_start(tokens, expression=expression)
        parser = DIALECT.parser()
        trees = parser.parse_into(exp.Condition, tokens, sql) if expression else parser.parse(tokens, sql)
    except ParseError as error:
        raise _syntax_error(error) from error
    except SqlError:
        raise
    except RecursionError as error:
        raise SqlError("the SQL is nested too deeply", culprit=sql.strip()[:80], fix="split it") from error
    except Exception as error:  # On odd texts sqlglot fails in ways of its own: AttributeError, IndexError, ...
        raise _unreadable(sql) from error
    if len(trees) != 1 or trees[0] is None:
        raise _unreadable(sql)
    return cast("exp.Expression", trees[0])


def _unreadable(sql: str) -> SqlError:
    return SqlError("this is not SQL", culprit=sql.strip()[:80], fix="write valid DuckDB SQL; close every quote")


def _check_start(tokens: list[Token], *, expression: bool) -> None:
    """Refuse what is not a query or an expression before it is parsed, and so is never read as a command."""
    if not tokens or tokens[0].token_type is TokenType.SEMICOLON:
        raise SqlError("there is no SQL here", culprit="", fix="write one expression or one SELECT")
    if not expression and tokens[0].token_type not in _QUERY_STARTS:
        raise SqlError("a query is one SELECT", culprit=tokens[0].text, fix="write `select … from raw.flights`")
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            raise SqlError(
                "there is a semicolon",
                culprit=";",
                fix="write one statement, without a semicolon",
                place=(token.line, max(1, token.col)),
            )


def _syntax_error(error: ParseError) -> SqlError:
    detail = error.errors[0]
    culprit = str(detail.get("highlight") or "")
    line = int(detail.get("line") or 1)
    column = max(1, int(detail.get("col") or 1) - len(culprit) + 1)
    return SqlError(
        f"SQL syntax error at '{culprit}'", culprit=culprit, fix="write valid DuckDB SQL", place=(line, column)
    )


def _bound_names(node: exp.Comprehension) -> list[exp.Expr]:
    return [name for key in ("expression", "position") if isinstance(name := node.args.get(key), exp.Expr)]


def _selects(tree: exp.Query) -> bool:
    """Tell whether the parsed query names what it selects (``select`` alone does not)."""
    return not isinstance(tree, exp.Select) or bool(tree.expressions)

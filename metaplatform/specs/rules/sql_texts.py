"""SQL texts of the book: each one parses, before any other rule looks into it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp

from metaplatform.chapters import SOURCES, STORED
from metaplatform.errors import Issue
from metaplatform.specs.fields.references import Path, texts_at
from metaplatform.specs.rules.book import Book
from metaplatform.sql.column_types import column_type_error
from metaplatform.sql.expressions import column_uses, shared_expression, shared_query
from metaplatform.sql.sql_safety import SqlError, is_aggregate, position_of

_CACHED_TEXTS = 65_536


def broken_sql(book: Book) -> Iterator[Issue]:
    """Yield SQL that does not parse, or does what SQL in the book may not; and column types unknown to DuckDB."""
    for ref, entity in book.entities():
        for path, sql in entity.expressions():
            yield from _sql_issue(book, ref, path, facts_of(sql).error)
        if entity.book_query is not None:
            yield from _sql_issue(book, ref, ("sql",), query_error(entity.book_query))
        if SOURCES.holds(ref):
            for path, written in texts_at(entity, "columns"):
                yield from _sql_issue(book, ref, path, _type_error(written))


@dataclass(frozen=True)
class ExpressionFacts:
    """What an expression reads: each column with line and column of every use, in order of appearance.

    ``outside`` are the columns that stand outside of any aggregate. ``error`` tells why it does not parse.
    """

    uses: tuple[tuple[str, tuple[int, int]], ...] = ()
    outside: tuple[str, ...] = ()
    aggregates: bool = False
    error: SqlError | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns read, without repeats."""
        return tuple(dict.fromkeys(name for name, _ in self.uses))


@lru_cache(maxsize=_CACHED_TEXTS)
def facts_of(sql: str) -> ExpressionFacts:
    """Return what an expression reads."""
    try:
        tree = shared_expression(sql)
    except SqlError as error:
        return ExpressionFacts(error=error)
    uses = column_uses(tree)
    aggregates = [node for node in tree.walk() if is_aggregate(node) or isinstance(node, exp.Filter | exp.WithinGroup)]
    inside = {id(part) for node in aggregates for part in column_uses(node)}
    return ExpressionFacts(
        uses=tuple((part.name, position_of(part)) for part in uses),
        outside=tuple(part.name for part in uses if id(part) not in inside),
        aggregates=bool(aggregates),
    )


@lru_cache(maxsize=_CACHED_TEXTS)
def query_error(sql: str) -> SqlError | None:
    """Return what is wrong with a query, or None."""
    try:
        shared_query(sql)
    except SqlError as error:
        return error
    return None


@lru_cache(maxsize=_CACHED_TEXTS)
def _type_error(written: str) -> SqlError | None:
    return column_type_error(written)


def _sql_issue(book: Book, ref: str, path: Path, error: SqlError | None) -> Iterator[Issue]:
    if error is not None:
        yield book.issue(
            error.rule,
            ref,
            path,
            culprit=error.culprit,
            message=error.message,
            fix=error.fix,
            nearest=book.nearest(error.culprit, STORED) if error.rule == "unknown-reference" else error.nearest,
            sql=(error.line, error.column),
        )

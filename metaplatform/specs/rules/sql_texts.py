"""SQL texts of the book: each one parses, before any other rule looks into it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp

from metaplatform.errors import Issue
from metaplatform.specs.base import Entity
from metaplatform.specs.duckdb_functions import AGGREGATES
from metaplatform.specs.expressions import canonical_type, column_uses, shared_expression, shared_query
from metaplatform.specs.features import FeatureSetSpec, WindowFeatures
from metaplatform.specs.ingestion import FileSource, TableSpec
from metaplatform.specs.outputs import ReportOutput
from metaplatform.specs.reactions import ReactionSpec
from metaplatform.specs.rules.book import Book
from metaplatform.specs.sql_safety import SqlError, position_of
from metaplatform.specs.structure import Path
from metaplatform.specs.training import ModelSpec

STORED = ("raw", "tables", "features", "predictions", "outputs")
"""Prefixes of what SQL can read."""
_CACHED_TEXTS = 65_536


def broken_sql(book: Book) -> Iterator[Issue]:
    """Yield SQL that does not parse, or does what SQL in the book may not; and column types unknown to DuckDB."""
    for ref, entity in book.entities():
        for path, sql in expressions_of(entity):
            yield from _sql_issue(book, ref, path, facts_of(sql).error)
        for path, sql in queries_of(entity):
            yield from _sql_issue(book, ref, path, query_error(sql))
        if isinstance(entity, FileSource):
            for column, written in entity.columns.items():
                yield from _sql_issue(book, ref, ("columns", column), _type_error(written))


def expressions_of(entity: Entity) -> Iterator[tuple[Path, str]]:
    """Yield every expression of an entity with its path."""
    match entity:
        case FileSource():
            yield from ((("derive", name), sql) for name, sql in entity.derive.items())
        case FeatureSetSpec():
            for index, block in enumerate(entity.features):
                yield from ((("features", index, "columns", name), sql) for name, sql in block.columns.items())
                if isinstance(block, WindowFeatures) and block.where is not None:
                    yield ("features", index, "where"), block.where
        case ModelSpec():
            yield ("target", "sql"), entity.target.sql
            if entity.target.exclude is not None:
                yield ("target", "exclude"), entity.target.exclude
        case ReactionSpec():
            yield ("when",), entity.when
            if entity.rank_by is not None:
                yield ("rank_by",), entity.rank_by


def queries_of(entity: Entity) -> Iterator[tuple[Path, str]]:
    """Yield every query of an entity with its path."""
    if isinstance(entity, TableSpec | ReportOutput):
        yield ("sql",), entity.sql


@lru_cache(maxsize=_CACHED_TEXTS)
def query_tables(sql: str) -> tuple[tuple[str, tuple[int, int]], ...]:
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
    aggregates = [node for node in tree.walk() if _aggregates(node)]
    inside = {id(part) for node in aggregates for part in column_uses(node)}
    return ExpressionFacts(
        uses=tuple((part.name, position_of(part)) for part in uses),
        outside=tuple(part.name for part in uses if id(part) not in inside),
        aggregates=bool(aggregates),
    )


def _aggregates(node: exp.Expr) -> bool:
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in AGGREGATES
    return isinstance(node, exp.AggFunc | exp.Filter | exp.WithinGroup)


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
    try:
        canonical_type(written)
    except SqlError as error:
        return error
    return None


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

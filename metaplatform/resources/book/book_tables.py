"""The book's tables in SQLAlchemy's words, for SQLite, PostgreSQL and SQL Server; made from the relational layout."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import quoted_name

from metaplatform.specs.relational.layout import (
    BLOCK_COLUMNS,
    ENTITY_TABLES,
    FEATURE_COLUMNS,
    FEATURES,
    JOIN_COLUMNS,
    JOINS,
    LIST_TABLES,
    PART_TABLES,
    Column,
    Kind,
    ListTable,
)

AUDIT = "Book_Audit"
"""Who changed which entity, and when."""
_NAME_LENGTH = 255
_FLAGS: Mapping[object, bool] = {0: False, 1: True, "false": False, "true": True}


class Flag(sa.Boolean):
    """A boolean; in SQLite, which keeps any value in its column, what is not one is given as it is, to be judged."""

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Return what makes Python's value of the database's."""
        if dialect.name == "sqlite":
            return _flag
        processor: Callable[[Any], Any] | None = super().result_processor(dialect, coltype)  # type: ignore[no-untyped-call]
        return processor


def _flag(value: Any) -> Any:
    return _FLAGS.get(value.lower() if isinstance(value, str) else value, value)


_TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    "name": sa.Unicode(_NAME_LENGTH),
    "text": sa.UnicodeText(),
    "integer": sa.BigInteger(),
    "number": sa.Double(),
    "boolean": Flag(),
    "mapping": sa.JSON(none_as_null=True),
}


@cache
def book_tables() -> sa.MetaData:
    """Return the tables; those of entities come before those that belong to them."""
    metadata = sa.MetaData()
    for table in ENTITY_TABLES:
        _table(metadata, table.name, _key("name"), sa.Column("position", sa.BigInteger()), *_columns(table.columns))
    parents = {table.chapter: table.name for table in ENTITY_TABLES}
    for part in PART_TABLES:
        _table(metadata, part.name, _owner(part.owner, parents[part.chapter]), *_columns(part.columns))
    for listed in {listed.name: listed for listed in LIST_TABLES}.values():
        parent = None if listed.by_reference else parents[listed.chapters[0]]
        _table(metadata, listed.name, *_list_columns(listed, parent))
    _feature_tables(metadata, parents["feature_sets"])
    _audit_table(metadata)
    return metadata


def _feature_tables(metadata: sa.MetaData, parent: str) -> None:
    block = sa.Column("block", sa.BigInteger(), nullable=False)
    features = (*_columns(BLOCK_COLUMNS), *_columns(FEATURE_COLUMNS, needed=True))
    _table(metadata, FEATURES, _owner("feature_set", parent), _number("ordinal"), block, *features)
    numbers = (_number("block"), _number("ordinal"))
    _table(metadata, JOINS, _owner("feature_set", parent), *numbers, *_columns(JOIN_COLUMNS, needed=True))


def content_tables() -> list[sa.Table]:
    """Return the tables that hold the book, in the order in which rows can be inserted."""
    return [table for table in book_tables().sorted_tables if table.name != AUDIT]


def owner_columns() -> dict[str, tuple[str, bool]]:
    """Return, for each table of the book, the column of the owner, and whether it holds a reference or a name."""
    named = {
        **{table.name: (table.owner, False) for table in ENTITY_TABLES},
        **{part.name: (part.owner, False) for part in PART_TABLES},
    }
    listed = {table.name: (table.owner, table.by_reference) for table in LIST_TABLES}
    return {**named, **listed, FEATURES: ("feature_set", False), JOINS: ("feature_set", False)}


def chapters_of_tables() -> dict[str, tuple[str, ...]]:
    """Return, for each table of the book, the chapters whose entities may have rows in it."""
    named = {
        **{table.name: (table.chapter,) for table in ENTITY_TABLES},
        **{part.name: (part.chapter,) for part in PART_TABLES},
    }
    listed = {table.name: table.chapters for table in LIST_TABLES}
    return {**named, **listed, FEATURES: ("feature_sets",), JOINS: ("feature_sets",)}


def _table(metadata: sa.MetaData, name: str, *columns: sa.Column[Any]) -> sa.Table:
    # Unquoted, so that people write the names in any case, in every database.
    return sa.Table(quoted_name(name, quote=False), metadata, *columns)


def _list_columns(listed: ListTable, parent: str | None) -> list[sa.Column[Any]]:
    columns = [_owner(listed.owner, parent)]
    if listed.fixed:
        kind: Kind = "boolean" if isinstance(listed.fixed[1], bool) else "name"
        columns.append(sa.Column(listed.fixed[0], _TYPES[kind], primary_key=True, autoincrement=False))
    columns.append(_number("ordinal"))
    if listed.key:
        columns.extend(_columns((listed.key,), needed=True))
    scalar = listed.columns[0].path == () and not listed.empty
    return [*columns, *_columns(listed.columns, needed=scalar)]


def _columns(columns: tuple[Column, ...], *, needed: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(column.name, _TYPES[column.kind], nullable=not needed) for column in columns]


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), primary_key=True, autoincrement=False)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, _TYPES["name"], primary_key=True)


def _owner(name: str, parent: str | None) -> sa.Column[Any]:
    # Who deletes an entity means its parts too.
    link = [sa.ForeignKey(f"{parent}.name", ondelete="CASCADE")] if parent else []
    return sa.Column(name, _TYPES["name"], *link, primary_key=True)


def _audit_table(metadata: sa.MetaData) -> None:
    _table(
        metadata,
        AUDIT,
        sa.Column("audit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(), primary_key=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Unicode(_NAME_LENGTH), nullable=False),
        sa.Column("entity", sa.Unicode(_NAME_LENGTH), nullable=False),
        sa.Column("change_kind", sa.Unicode(_NAME_LENGTH), nullable=False),
        sa.Column("before_change", sa.JSON(none_as_null=True)),
        sa.Column("after_change", sa.JSON(none_as_null=True)),
    )

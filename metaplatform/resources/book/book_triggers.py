"""Triggers that audit the rows of a book that anybody changes outside a push, in SQLite and PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from metaplatform.chapters import CHAPTERS
from metaplatform.resources.book.book_tables import (
    AUDIT,
    book_tables,
    chapters_of_tables,
    content_tables,
    owner_columns,
)

NOBODY = "unknown"
"""Who changed a row by hand in SQLite, which knows no users."""
_PUSHING = "metaplatform.push"
# The names in all SQL of this module are the project's own. Who may change the book may not thereby write its audit,
# and the table is named with its schema: whoever edits may have another search path.
_FUNCTION = f"""
CREATE OR REPLACE FUNCTION audit_book_row() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $audit$
DECLARE
    kept jsonb := to_jsonb(COALESCE(NEW, OLD));
BEGIN
    IF COALESCE(current_setting('{_PUSHING}', true), '') <> 'on' THEN
        EXECUTE 'INSERT INTO ' || quote_ident(TG_TABLE_SCHEMA) || '.{AUDIT}'
            ' (changed_at, changed_by, entity, change_kind, before_change, after_change)'
            ' VALUES ($1, $2, $3, $4, $5, $6)'
        USING
            clock_timestamp(),
            session_user,
            TG_ARGV[0] || (kept ->> TG_ARGV[1]),
            lower(TG_OP) || ' ' || TG_TABLE_NAME,
            CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD)::json END,
            CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW)::json END;
    END IF;
    RETURN NULL;
END
$audit$
"""  # noqa: S608
_IS_OWNER = f"SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('{AUDIT}')"  # noqa: S608
_ROWS = {"insert": (None, "NEW"), "update": ("OLD", "NEW"), "delete": ("OLD", None)}


@contextmanager
def audited_by_entity(connection: sa.Connection) -> Iterator[None]:
    """Let no trigger audit what the transaction does inside, and every trigger what others do after it.

    Triggers that are missing, or of an older layout, are made again. In SQLite they are taken away and made again:
    both are part of the transaction, in which nobody else writes, and which a crash undoes.
    """
    if connection.dialect.name == "sqlite":
        for name in _sqlite_names():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
    elif connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL {_PUSHING} = 'on'")
    yield
    if connection.dialect.name == "sqlite":
        for sql in _sqlite_triggers():
            connection.exec_driver_sql(sql)
    elif connection.dialect.name == "postgresql" and connection.exec_driver_sql(_IS_OWNER).scalar():
        _create_in_postgresql(connection)


def _create_in_postgresql(connection: sa.Connection) -> None:
    connection.exec_driver_sql(_FUNCTION)
    for table in content_tables():
        prefix, owner = _entity(table)
        connection.exec_driver_sql(
            f"CREATE OR REPLACE TRIGGER audit_book AFTER INSERT OR UPDATE OR DELETE ON {table.name} "
            f"FOR EACH ROW EXECUTE FUNCTION audit_book_row('{prefix}', '{owner}')"
        )


def _sqlite_names() -> list[str]:
    return [_sqlite_name(table, event) for table in content_tables() for event in _ROWS]


def _sqlite_name(table: sa.Table, event: str) -> str:
    return f"audit_{table.name}_{event}".lower()


def _sqlite_triggers() -> Iterator[str]:
    audit = book_tables().tables[AUDIT]
    columns = ", ".join(column.name for column in audit.columns if not column.primary_key)
    for table in content_tables():
        prefix, owner = _entity(table)
        for event, (before, after) in _ROWS.items():
            yield (
                f"CREATE TRIGGER {_sqlite_name(table, event)} AFTER {event} ON {table.name} BEGIN "  # noqa: S608
                f"INSERT INTO {AUDIT} ({columns}) VALUES (strftime('%Y-%m-%d %H:%M:%f000', 'now'), '{NOBODY}', "
                f"'{prefix}' || {after or before}.{owner}, '{event} {table.name.lower()}', "
                f"{_sqlite_row(table, before)}, {_sqlite_row(table, after)}); END"
            )


def _entity(table: sa.Table) -> tuple[str, str]:
    """Return what stands before the owner in a reference, and the column of the owner."""
    owner, by_reference = owner_columns()[str(table.name)]
    return "" if by_reference else CHAPTERS[chapters_of_tables()[str(table.name)][0]].ref(""), owner


def _sqlite_row(table: sa.Table, row: str | None) -> str:
    if row is None:
        return "NULL"
    cells = [f"'{column.name}', {_sqlite_value(column, row)}" for column in table.columns]
    return f"json_object({', '.join(cells)})"


def _sqlite_value(column: sa.Column[Any], row: str) -> str:
    """Return the column as JSON: SQLite keeps any value in it, and JSON holds no bytes."""
    value = f"{row}.{column.name}"
    if isinstance(column.type, sa.JSON):
        kept = f"WHEN json_valid({value}) THEN json({value})"
    elif isinstance(column.type, sa.Boolean):
        kept = f"WHEN {value} = 1 THEN json('true') WHEN {value} = 0 THEN json('false')"
    else:
        kept = ""
    return f"CASE WHEN typeof({value}) = 'blob' THEN hex({value}) {kept} ELSE {value} END"

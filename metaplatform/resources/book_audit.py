"""`Book_Audit`: who changed what. A push writes it; on PostgreSQL, triggers do for rows changed by hand."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from metaplatform.resources.book_tables import AUDIT, book_tables, chapters_of_tables, owner_columns
from metaplatform.specs.manifest import CHAPTERS
from metaplatform.specs.snapshot_changes import EntityChange

_PUSHING = "metaplatform.push"
# The names in it are this module's own.
_FUNCTION = f"""
CREATE OR REPLACE FUNCTION audit_book_row() RETURNS trigger LANGUAGE plpgsql AS $audit$
DECLARE
    kept jsonb := to_jsonb(COALESCE(NEW, OLD));
BEGIN
    IF COALESCE(current_setting('{_PUSHING}', true), '') <> 'on' THEN
        INSERT INTO {AUDIT} (changed_at, changed_by, entity, change_kind, before_change, after_change)
        VALUES (
            clock_timestamp(),
            session_user,
            TG_ARGV[0] || (kept ->> TG_ARGV[1]),
            lower(TG_OP) || ' ' || TG_TABLE_NAME,
            CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD)::json END,
            CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW)::json END
        );
    END IF;
    RETURN NULL;
END
$audit$
"""  # noqa: S608


def create_audit_triggers(connection: sa.Connection) -> None:
    """Let PostgreSQL audit rows that anybody changes outside a push; other databases have no such triggers here."""
    if connection.dialect.name != "postgresql":
        return
    connection.exec_driver_sql(_FUNCTION)
    for table, (owner, by_reference) in owner_columns().items():
        prefix = "" if by_reference else f"{CHAPTERS[chapters_of_tables()[table][0]]}."
        connection.exec_driver_sql(
            f"CREATE OR REPLACE TRIGGER audit_book AFTER INSERT OR UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION audit_book_row('{prefix}', '{owner}')"
        )


def mark_push(connection: sa.Connection) -> None:
    """Tell the triggers that this transaction audits itself."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL {_PUSHING} = 'on'")


def audit_changes(connection: sa.Connection, changes: Iterable[EntityChange], *, by: str, now: datetime) -> None:
    """Keep who changed what; ``now`` is a UTC instant."""
    rows = [
        {
            "changed_at": now,
            "changed_by": by,
            "entity": change.ref,
            "change_kind": change.kind,
            "before_change": change.before,
            "after_change": change.after,
        }
        for change in changes
    ]
    if rows:
        connection.execute(book_tables().tables[AUDIT].insert(), rows)


def read_audit(connection: sa.Connection) -> list[Mapping[str, Any]]:
    """Return the audit's rows, oldest first."""
    table = book_tables().tables[AUDIT]
    return [dict(row) for row in connection.execute(table.select().order_by(table.c.audit_id)).mappings()]

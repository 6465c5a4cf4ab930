"""`Book_Audit`: who changed what. A push writes it by entity; triggers do by row for what is changed by hand."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from metaplatform.resources.book.book_tables import AUDIT, book_tables
from metaplatform.specs.snapshot_changes import EntityChange


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

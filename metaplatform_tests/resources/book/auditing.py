"""What a database keeps of who changed its book."""

from typing import Any

from metaplatform.resources.book.book_connections import book_engine, book_url, transaction
from metaplatform.resources.book.book_tables import AUDIT, book_tables


def audit_of(url: str) -> list[dict[str, Any]]:
    """Return the rows of the audit, oldest first."""
    table = book_tables().tables[AUDIT]
    with transaction(book_engine(book_url(url))) as connection:
        return [dict(row) for row in connection.execute(table.select().order_by(table.c.audit_id)).mappings()]

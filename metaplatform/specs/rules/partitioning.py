"""Partitions: they flow from an input that has them and is read."""

from collections.abc import Iterator

from metaplatform.chapters import STORED, TABLES
from metaplatform.errors import Issue
from metaplatform.naming import ref_prefix
from metaplatform.specs.rules.book import Book
from metaplatform.specs.rules.sql_texts import query_error
from metaplatform.sql.expressions import table_uses


def wrong_partitions(book: Book) -> Iterator[Issue]:
    """Yield tables and reports partitioned by what has no partitions, or what their SQL does not read."""
    for ref, entity in book.entities():
        parent = entity.partition_parent(book.manifest)
        if entity.book_query is None or parent is None:
            continue
        if parent not in book.defined or ref_prefix(parent) not in STORED:
            continue
        if _partitions_are_known(book, parent) and book.manifest.partitions(parent) is None:
            message, fix = f"'{parent}' has no partitions", "name a partitioned input, or leave it out"
            yield book.issue("not-partitioned", ref, ("partitioned_by",), culprit=parent, message=message, fix=fix)
        if query_error(entity.book_query) is None and parent not in dict(table_uses(entity.book_query)):
            message, fix = f"the SQL does not read '{parent}'", "name one of the tables that it reads"
            yield book.issue("partition-not-read", ref, ("partitioned_by",), culprit=parent, message=message, fix=fix)


def unbounded_reads(book: Book) -> Iterator[Issue]:
    """Warn of partitioned tables that read all partitions of an input, as nothing says how far their SQL looks."""
    manifest = book.manifest
    for name, table in manifest.tables.items():
        if table.partitioned_by is None or query_error(table.sql) is not None:
            continue
        declared = table.look_back is not None or table.look_ahead is not None
        for other, place in table_uses(table.sql):
            whole = other != table.partitioned_by and other in manifest.entities and manifest.partitions(other)
            if not whole or (declared and manifest.event_timestamp(other)):
                continue
            fix = "declare how far it looks, as in `look_back: 7 days` or `look_ahead: 30 days`"
            if not manifest.event_timestamp(other):
                fix = f"give '{other}' an event_timestamp, and declare `look_back` or `look_ahead` here"
            yield book.issue(
                "unbounded-read",
                TABLES.ref(name),
                ("sql",),
                culprit=other,
                message=f"every partition reads all of '{other}', and is made again whenever that gets rows",
                fix=fix,
                sql=place,
                severity="warning",
            )


def _partitions_are_known(book: Book, ref: str) -> bool:
    """Tell whether all that the partitions of ``ref`` come from is well formed, without a loop."""
    seen: set[str] = set()
    while ref in book.manifest.entities and ref not in seen:
        seen.add(ref)
        parent = book.manifest.partition_parent(ref)
        if parent is None:
            return True
        ref = parent
    return False

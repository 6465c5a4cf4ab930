"""References: every name an entity points to is defined, and of a kind that can stand there."""

from collections.abc import Iterator

from metaplatform.chapters import STORED
from metaplatform.errors import Issue
from metaplatform.naming import ref_prefix
from metaplatform.specs.rules.book import Book


def unknown_references(book: Book) -> Iterator[Issue]:
    """Yield references to what the book does not define, or that cannot stand where they do."""
    for ref, entity in book.entities():
        for use in entity.references():
            if ref_prefix(use.target) not in use.prefixes:
                message = f"'{use.written}' cannot stand here"
            elif use.target not in book.defined:
                message = f"'{use.written}' is not defined"
            elif use.prefixes == STORED and not _is_table(book, use.target):
                message = f"'{use.written}' is a file, not a table"
            else:
                continue
            near = book.nearest(use.target, use.prefixes)
            bare = near.split(".", 1)[1] if near and "." not in use.written else near
            yield book.issue(
                "unknown-reference",
                ref,
                use.path,
                culprit=use.written,
                message=message,
                fix=f"name one of: {', '.join(f'{prefix}.*' for prefix in use.prefixes)}, as the book defines them",
                nearest=bare,
                sql=use.sql,
            )


def _is_table(book: Book, ref: str) -> bool:
    entity = book.manifest.entities.get(ref)
    return entity is None or entity.is_table

"""What is shown: tags and links that Dagster takes, and entities that nothing reads."""

import re
from collections.abc import Iterator

from metaplatform.chapters import chapter_of
from metaplatform.errors import Issue
from metaplatform.naming import ref_name
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.rules.book import Book
from metaplatform.specs.rules.sql_texts import query_error
from metaplatform.specs.unknown import readable, until_unknown

_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")
_TAG_KEY = re.compile(r"([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_WORD = re.compile(r"[A-Za-z0-9_]+")
_LINK = re.compile(r"https?://[^\s]+")
_REFERRING = frozenset(
    {
        *("after", "sql", "partitioned_by", "spine", "features", "feature_set", "retrain", "model"),
        *("table", "tables", "prediction", "materialize"),
    }
)
"""Keys whose values name other entities."""


def invalid_tags(book: Book) -> Iterator[Issue]:
    """Yield tags and links that Dagster would refuse."""
    for ref, entity in book.entities():
        yield from readable(_invalid_tags(book, ref, entity))
        if entity.docs is not None and not _LINK.fullmatch(entity.docs):
            message, fix = "docs: this is not a web address", "start it with https://"
            yield book.issue("invalid-value", ref, ("docs",), culprit=entity.docs, message=message, fix=fix)


def _invalid_tags(book: Book, ref: str, entity: Entity) -> Iterator[Issue]:
    allowed = "letters, digits, '_', '.' and '-', 63 at most"
    for key, value in entity.tags.items():
        if not _TAG_KEY.fullmatch(key):
            message = f"tag '{key}' is not made of {allowed}"
            yield book.issue(
                "invalid-tag", ref, ("tags", key), culprit=key, message=message, fix="rename it", at_key=True
            )
        if not _TAG_VALUE.fullmatch(value):
            message = f"the value of tag '{key}' is not made of {allowed}"
            yield book.issue("invalid-tag", ref, ("tags", key), culprit=value, message=message, fix="change it")


def unused_entities(book: Book) -> Iterator[Issue]:
    """Warn of sources, tables, feature sets and models that nothing in the book reads.

    What may be meant by a reader that is broken, or by a reference to nothing, is left alone.
    """
    if not book.whole or any(part.unknown & _REFERRING for part in book.parts.values()):
        return
    uses = [use for _, entity in book.entities() for use in entity.references()]
    used = {use.target for use in uses}
    missed = {prefix for use in uses if use.target not in book.defined for prefix in use.prefixes}
    words = {word for _, entity in book.entities() for word in _words_of_broken_sql(entity)}
    for ref, _ in book.entities():
        chapter = chapter_of(ref)
        if chapter.input and ref not in used and chapter.prefix not in missed and ref_name(ref) not in words:
            yield book.issue(
                "unused",
                ref,
                (),
                culprit=ref,
                message="nothing in the book reads it",
                fix="use it, or take it out",
                severity="warning",
            )


def _words_of_broken_sql(entity: Entity) -> Iterator[str]:
    """Yield the words of queries that do not parse: one of them may be the name of what is read."""
    with until_unknown():
        if entity.book_query is not None and query_error(entity.book_query) is not None:
            yield from _WORD.findall(entity.book_query)

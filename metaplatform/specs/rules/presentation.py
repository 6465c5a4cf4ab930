"""What is shown: tags and links that Dagster takes, and entities that nothing reads."""

import re
from collections.abc import Iterator

from metaplatform.errors import Issue
from metaplatform.specs.rules.book import Book

_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")
_TAG_KEY = re.compile(r"([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_LINK = re.compile(r"https?://[^\s]+")
_MADE_TO_BE_READ = ("raw.", "tables.", "features.", "models.")


def invalid_tags(book: Book) -> Iterator[Issue]:
    """Yield tags and links that Dagster would refuse."""
    allowed = "letters, digits, '_', '.' and '-', 63 at most"
    for ref, entity in book.entities():
        for key, value in entity.tags.items():
            if not _TAG_KEY.fullmatch(key):
                message = f"tag '{key}' is not made of {allowed}"
                yield book.issue(
                    "invalid-tag", ref, ("tags", key), culprit=key, message=message, fix="rename it", at_key=True
                )
            if not _TAG_VALUE.fullmatch(value):
                message = f"the value of tag '{key}' is not made of {allowed}"
                yield book.issue("invalid-tag", ref, ("tags", key), culprit=value, message=message, fix="change it")
        if entity.docs is not None and not _LINK.fullmatch(entity.docs):
            message, fix = "docs: this is not a web address", "start it with https://"
            yield book.issue("invalid-value", ref, ("docs",), culprit=entity.docs, message=message, fix=fix)


def unused_entities(book: Book) -> Iterator[Issue]:
    """Warn of sources, tables, feature sets and models that nothing in the book reads."""
    used = {use.target for _, entity in book.entities() for use in entity.references()}
    broken = book.defined - set(book.manifest.entities)
    for ref, _ in book.entities():
        if ref.startswith(_MADE_TO_BE_READ) and ref not in used and not broken:
            yield book.issue(
                "unused",
                ref,
                (),
                culprit=ref,
                message="nothing in the book reads it",
                fix="use it, or take it out",
                severity="warning",
            )

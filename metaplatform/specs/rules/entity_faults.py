"""What entities tell against themselves, each by its kind."""

from collections.abc import Iterator

from metaplatform.errors import Issue
from metaplatform.specs.rules.book import Book
from metaplatform.specs.unknown import readable


def faults_of_entities(book: Book) -> Iterator[Issue]:
    """Yield what each entity finds wrong with itself."""
    for ref, entity in book.entities():
        for fault in readable(entity.faults()):
            yield book.issue(
                fault.rule,
                ref,
                fault.path,
                culprit=fault.culprit,
                message=fault.message,
                fix=fault.fix,
                nearest=fault.nearest,
                at_key=fault.at_key,
                severity=fault.severity,
            )

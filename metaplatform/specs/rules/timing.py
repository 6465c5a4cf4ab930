"""Time: what a point-in-time join, a window and a label need to be well defined."""

from collections.abc import Iterator

from metaplatform.chapters import FEATURE_SETS, MODELS, SOURCES
from metaplatform.errors import Issue
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.ingestion import TimedTable
from metaplatform.specs.fields.references import Path
from metaplatform.specs.rules.book import Book
from metaplatform.specs.unknown import until_unknown


def missing_event_timestamps(book: Book) -> Iterator[Issue]:
    """Yield as-of and window blocks between tables that do not both have an event timestamp."""
    for name, feature_set in book.manifest.feature_sets.items():
        for index, block in enumerate(feature_set.features):
            if block.joined is not None and block.known_after is not None:
                for table in dict.fromkeys((feature_set.spine, block.joined)):
                    found = book.timed(table)
                    if found is not None and found.event_timestamp is None:
                        yield _needs(
                            book, FEATURE_SETS.ref(name), ("features", index, "table"), table, "event_timestamp"
                        )


def models_without_identity(book: Book) -> Iterator[Issue]:
    """Yield models over rows that have no key, or no moment: splits, labels and comparisons need both."""
    for name, model in book.manifest.models.items():
        feature_set, spine = book.feature_set(model), book.spine(model)
        if feature_set is None or spine is None:
            continue
        if not spine.key:
            yield _needs(book, MODELS.ref(name), ("feature_set",), feature_set.spine, "key")
        if spine.event_timestamp is None:
            yield _needs(book, MODELS.ref(name), ("feature_set",), feature_set.spine, "event_timestamp")


def empty_spans(book: Book) -> Iterator[Issue]:
    """Yield windows no row can lie in, and training windows that their holdout uses up."""
    for name, feature_set in book.manifest.feature_sets.items():
        yield from _empty_feature_spans(book, FEATURE_SETS.ref(name), feature_set)
    for name, model in book.manifest.models.items():
        training = model.training
        if not training.holdout.longest:
            yield _empty(book, MODELS.ref(name), "holdout", str(training.holdout), "no row is held out")
        elif training.holdout.longest >= training.window.shortest:
            text = f"holdout of {training.holdout} leaves nothing of a window of {training.window}"
            yield _empty(book, MODELS.ref(name), "holdout", str(training.holdout), text)


def missing_label_delays(book: Book) -> Iterator[Issue]:
    """Yield models of which nothing says when a label is known."""
    for name, model in book.manifest.models.items():
        spine = book.spine(model)
        if spine is not None and spine.outcomes is None and model.label_delay is None:
            yield book.issue(
                "missing-label-delay",
                MODELS.ref(name),
                ("target",),
                culprit="label_delay",
                message="nothing says how long after its event timestamp a label is known",
                fix="add 'label_delay:' to the model, or 'outcomes:' to the spine",
                at_key=True,
            )


def _empty_feature_spans(book: Book, ref: str, feature_set: FeatureSetSpec) -> Iterator[Issue]:
    for index, block in enumerate(feature_set.features):
        for field, culprit, message, fix in block.empty_spans():
            path: Path = ("features", index, field)
            yield book.issue("empty-span", ref, path, culprit=culprit, message=message, fix=fix)


def _empty(book: Book, ref: str, key: str, culprit: str, message: str) -> Issue:
    fix = f"make 'training.{key}' longer than zero and shorter than 'training.window'"
    return book.issue("empty-span", ref, ("training", key), culprit=culprit, message=message, fix=fix)


def _needs(book: Book, ref: str, path: Path, table: str, what: str) -> Issue:
    kind = "source" if SOURCES.holds(table) else "table"
    return book.issue(
        f"needs-{what.replace('_', '-')}",
        ref,
        path,
        culprit=table,
        message=f"'{table}' has no {what}",
        fix=f"add '{what}:' to the {kind}",
    )


def identity_of(table: TimedTable) -> Iterator[tuple[Path, str]]:
    """Yield the columns that say which row this is and when, with their paths."""
    with until_unknown():
        yield from ((("key", index), str(name)) for index, name in enumerate(table.key))
    if table.event_timestamp is not None and table.event_timestamp not in table.key:
        yield ("event_timestamp",), table.event_timestamp

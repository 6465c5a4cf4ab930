"""Features: which a model takes, and what their expressions may be."""

from collections.abc import Iterator

from metaplatform.chapters import MODELS, MONITORS
from metaplatform.errors import Issue
from metaplatform.specs.fields.references import Path
from metaplatform.specs.rules.book import Book
from metaplatform.specs.rules.sql_texts import facts_of
from metaplatform.text.nearest import nearest_name


def unknown_features(book: Book) -> Iterator[Issue]:
    """Yield features that models and monitors name and their feature set lacks, and models left without any."""
    for name, model in book.manifest.models.items():
        feature_set = book.feature_set(model)
        if feature_set is None:
            continue
        lists = (("features", model.features), ("exclude", model.exclude))
        unknown = [
            _unknown(book, MODELS.ref(name), (key, index), feature, feature_set.feature_names)
            for key, features in lists
            for index, feature in enumerate(features)
            if feature not in feature_set.feature_names
        ]
        yield from unknown
        if not unknown and not book.manifest.features_of(model):
            yield book.issue(
                "no-features",
                MODELS.ref(name),
                ("exclude",),
                culprit="exclude",
                message="no feature is left to learn from",
                fix="exclude fewer",
                at_key=True,
            )
    yield from _excluded_from_monitors(book)


def misplaced_aggregates(book: Book) -> Iterator[Issue]:
    """Yield aggregates where one row is looked at, and window features that aggregate nothing."""
    for ref, entity in book.entities():
        for path, sql in entity.expressions():
            facts = facts_of(sql)
            if facts.error is not None:
                continue
            if entity.aggregates_at(path):
                if not facts.aggregates or facts.outside:
                    yield _not_aggregated(book, ref, path, facts.outside[0] if facts.outside else sql)
            elif facts.aggregates:
                yield book.issue(
                    "misplaced-aggregate",
                    ref,
                    path,
                    culprit=sql.strip()[:80],
                    message="an aggregate needs many rows, and this expression sees one",
                    fix="use a `window` block, or an entry of `tables`",
                )


def _not_aggregated(book: Book, ref: str, path: Path, culprit: str) -> Issue:
    return book.issue(
        "not-aggregated",
        ref,
        path,
        culprit=culprit.strip()[:80],
        message=f"'{culprit.strip()[:80]}' is not an aggregate, and a window has many rows",
        fix="wrap it, for example in avg(…), max(…) or count(…)",
    )


def _excluded_from_monitors(book: Book) -> Iterator[Issue]:
    for name, monitor in book.manifest.monitors.items():
        model = book.model_of(monitor.prediction)
        if model is None or book.feature_set(model) is None:
            continue
        known = book.manifest.features_of(model)
        for index, feature in enumerate(monitor.excluded):
            if feature not in known:
                yield _unknown(book, MONITORS.ref(name), ("exclude", index), feature, known)


def _unknown(book: Book, ref: str, path: Path, feature: str, known: tuple[str, ...]) -> Issue:
    return book.issue(
        "unknown-feature",
        ref,
        path,
        culprit=feature,
        message=f"there is no feature '{feature}'",
        fix="name a feature of the feature set",
        nearest=nearest_name(feature, known),
    )

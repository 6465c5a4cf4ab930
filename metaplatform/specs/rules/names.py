"""Names that would meet in one table: DuckDB compares them without case."""

from collections.abc import Iterable, Iterator

from metaplatform.chapters import FEATURE_SETS, MODELS, MONITORS, PREDICTIONS
from metaplatform.errors import Issue
from metaplatform.specs.entities.inference import SCORE_COLUMNS, STAMP_COLUMNS
from metaplatform.specs.fields.references import Path
from metaplatform.specs.rules.book import Book

_LEDGERS = frozenset({"observations", "decisions", "promotions", "actions", "arrivals"})
"""Tables below ``monitoring`` that the platform keeps itself."""

_TRAINING_COLUMNS = ("label", "excluded")
"""Columns that stand beside a row's key and features while a model is trained."""

Named = tuple[Path, str, bool]
"""Where a column gets its name, the name, and whether it stands as a key."""


def name_clashes(book: Book) -> Iterator[Issue]:
    """Yield columns of one table whose names differ in nothing but case, or not at all."""
    for ref, table in book.timed_tables():
        if (source := book.manifest.source_at(ref)) is not None:
            columns = [(("columns", name), name, True) for name in source.columns]
            derived = [(("derive", name), name, True) for name in source.derive]
            yield from _clashes(book, ref, (), [*columns, *derived])
        yield from _clashes(book, ref, (), [(("key", index), name, False) for index, name in enumerate(table.key)])
    for name, feature_set in book.manifest.feature_sets.items():
        features = [
            (("features", index, "columns", feature), feature, True)
            for index, block in enumerate(feature_set.features)
            for feature in block.columns
        ]
        spine = book.timed(feature_set.spine)
        yield from _clashes(book, FEATURE_SETS.ref(name), spine.identity if spine else (), features)
    yield from _clashes_of_predictions(book)


def label_clashes(book: Book) -> Iterator[Issue]:
    """Yield models whose features or rows have a column of the name that training gives the label."""
    for name, model in book.manifest.models.items():
        feature_set, spine = book.feature_set(model), book.spine(model)
        if feature_set is None or spine is None:
            continue
        features = [feature for feature in book.manifest.features_of(model) if feature.lower() == _TRAINING_COLUMNS[0]]
        identity = [column for column in (spine.identity if spine else ()) if column.lower() in _TRAINING_COLUMNS]
        for column in dict.fromkeys((*features, *identity)):
            yield book.issue(
                "reserved-name",
                MODELS.ref(name),
                ("feature_set",),
                culprit=column,
                message=f"'{column}' of '{feature_set.name}' is a column that training makes itself",
                fix="give the feature, or the column of its spine, another name",
            )


def reserved_names(book: Book) -> Iterator[Issue]:
    """Yield monitors named like a table that the platform keeps beside them."""
    for name in book.manifest.monitors:
        if name.lower() in _LEDGERS:
            yield book.issue(
                "reserved-name",
                MONITORS.ref(name),
                (),
                culprit=name,
                message=f"the platform keeps a table '{MONITORS.ref(name)}' itself",
                fix="give the monitor another name",
            )


def _clashes_of_predictions(book: Book) -> Iterator[Issue]:
    for name, prediction in book.manifest.predictions.items():
        ref = PREDICTIONS.ref(name)
        model = book.model_of(name)
        spine = book.spine(model)
        if model is None or spine is None:
            continue
        added = (SCORE_COLUMNS[model.task], *STAMP_COLUMNS)
        kept = [(("keep", index), column, False) for index, column in enumerate(prediction.keep)]
        yield from _clashes(book, ref, (*spine.identity, *added), kept)
        yield from _clashes(book, ref, added, [(("model",), column, False) for column in spine.identity])


def _clashes(book: Book, ref: str, taken: Iterable[str], named: Iterable[Named]) -> Iterator[Issue]:
    """Yield an issue for each name that an earlier one equals; those ``taken`` come first."""
    first = {name.lower(): name for name in taken}
    for path, name, at_key in named:
        known = first.get(name.lower())
        if known is None:
            first[name.lower()] = name
        else:
            yield book.issue(
                "name-clash",
                ref,
                path,
                culprit=name,
                message=f"column '{name}' has the same name as column '{known}'",
                fix="rename one of them" if at_key else "take it out, or rename it in its table",
                at_key=at_key,
            )

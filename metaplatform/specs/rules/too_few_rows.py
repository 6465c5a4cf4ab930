"""Numbers of rows that a book asks for and its sources never have: a monitor, model or promotion that only waits."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from metaplatform.chapters import MODELS, MONITORS
from metaplatform.errors import Issue
from metaplatform.specs.book.source_looks import SLOT
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.rules.book import Book

_TABLE = "raw."


def monitors_that_never_judge(book: Book) -> Iterator[Issue]:
    """Yield monitors that need more rows than any partition has; one partition alone may not be whole yet."""
    for name, monitor in book.manifest.monitors.items():
        found = _counted_spine(book, book.model_of(monitor.prediction))
        scheme = found[0].partitions if found else None
        if found is None or scheme is None:
            continue
        source, moments = found
        rows = Counter[str]()
        for moment, count in moments.items():
            rows[scheme.key_of(moment)] += count
        most = max(rows.values())
        if len(rows) > 1 and most < monitor.least_rows:
            yield book.issue(
                "never-judged",
                MONITORS.ref(name),
                ("min_rows",),
                culprit=str(monitor.least_rows),
                message=f"no {scheme.every} of {source.ref} has more than {most:,} rows, and under "
                f"{monitor.least_rows:,} (min_rows) nothing is judged",
                fix="lower min_rows, or let partitions be longer",
                severity="warning",
            )


def models_that_never_train(book: Book) -> Iterator[Issue]:
    """Yield models whose training window or holdout is never as full as they ask for."""
    for name, model in book.manifest.models.items():
        found = _counted_spine(book, model)
        if found is None:
            continue
        source, moments = found
        training, least = model.training, model.promotion.min_rows
        most = _most_rows(moments, training.window)
        if most is not None and most < training.min_rows:
            yield book.issue(
                "never-trained",
                MODELS.ref(name),
                ("training", "min_rows"),
                culprit=str(training.min_rows),
                message=f"no {training.window} of {source.ref} have more than {most:,} rows, and under "
                f"{training.min_rows:,} (training.min_rows) no version is made",
                fix="lengthen training.window, or lower training.min_rows",
                severity="warning",
            )
        most = _most_rows(moments, training.holdout)
        if most is not None and most < least:
            yield book.issue(
                "never-promoted",
                MODELS.ref(name),
                ("promotion", "min_rows"),
                culprit=str(least),
                message=f"no {training.holdout} of {source.ref} have more than {most:,} rows, and under {least:,} "
                "(promotion.min_rows) no version is compared with the champion",
                fix="lengthen training.holdout, or lower promotion.min_rows",
                severity="warning",
            )


def _counted_spine(book: Book, model: ModelSpec | None) -> tuple[SourceSpec, Mapping[datetime, int]] | None:
    """Return the source that a model's rows are of, and its rows by time, if they were counted."""
    features = book.feature_set(model)
    if features is None or not features.spine.startswith(_TABLE):
        return None
    name = features.spine.removeprefix(_TABLE)
    source, look = book.manifest.sources.get(name), book.looks.get(name)
    return (source, look.moments) if source and look and look.moments else None


def _most_rows(moments: Mapping[datetime, int], span: Duration) -> int | None:
    """Return the most rows in any ``span``, a slot's more to be sure; None if the data are shorter than that."""
    slots = sorted(moments)
    length = slots[-1] - span.before(slots[-1]) + timedelta(seconds=SLOT)
    if slots[-1] - slots[0] < length:
        return None
    most = within = first = 0
    for slot in slots:
        within += moments[slot]
        while slot - slots[first] > length:
            within -= moments[slots[first]]
            first += 1
        most = max(most, within)
    return most

"""Names: every name is one that its table has, as far as the book can tell."""

from collections.abc import Iterable, Iterator

from metaplatform.chapters import FEATURE_SETS, MODELS, PREDICTIONS, REACTIONS
from metaplatform.errors import Issue
from metaplatform.specs.book.columns import Names
from metaplatform.specs.entities.families import FeatureBlock
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.features import FeaturesBlock
from metaplatform.specs.entities.ingestion import TimedTable
from metaplatform.specs.fields.references import Path, texts_at
from metaplatform.specs.rules.book import Book
from metaplatform.specs.rules.sql_texts import facts_of
from metaplatform.specs.unknown import readable, until_unknown
from metaplatform.sql.columns import HIDDEN
from metaplatform.sql.value_kinds import MOST_FAULTS
from metaplatform.text.nearest import nearest_name

_ADVICE = {
    "unknown-column": ("there is no column '{}' here", "name a column the tables read here have"),
    "ambiguous-column": ("column '{}' is in more than one of the tables", "put the table's name before it"),
    "unnamed-column": ("'{}' has no name", "name it with `as`"),
    "name-clash": ("two columns are named '{}'", "rename one with `as`"),
}


def unknown_columns_of_tables(book: Book) -> Iterator[Issue]:
    """Yield keys, times, outcomes and derivations of sources and tables that name no column of theirs."""
    for ref, table in book.timed_tables():
        known = book.columns.of(ref)
        if known is not None:
            yield from (_plain(book, ref, path, name, known) for path, name in _named_by(table) if name not in known)
        source = book.manifest.source_at(ref)
        if source is not None and source.columns:
            available = list(source.columns)
            for name, sql in source.derive.items():
                yield from readable(_in_sql(book, ref, ("derive", name), sql, available))
                available.append(name)


def unknown_columns_of_queries(book: Book) -> Iterator[Issue]:
    """Yield columns in the SQL of tables and reports that are not there, not told apart, or not named."""
    for ref, _ in book.entities():
        for fault in book.columns.query(ref).faults:
            message, fix = _ADVICE[fault.rule]
            yield book.issue(
                fault.rule,
                ref,
                ("sql",),
                culprit=fault.name,
                message=message.format(fault.name),
                fix=fix,
                nearest=fault.nearest,
                sql=fault.place,
            )


def unknown_columns_of_features(book: Book) -> Iterator[Issue]:
    """Yield columns in feature sets that neither the table read nor, for the spine, a feature above has."""
    for name, feature_set in book.manifest.feature_sets.items():
        ref = FEATURE_SETS.ref(name)
        known = _spine_of(book, feature_set)
        for index, block in enumerate(feature_set.features):
            path: Path = ("features", index)
            if isinstance(block, FeaturesBlock):
                yield from readable(_own_columns(book, ref, path, block, known))
                yield from readable(_joining_columns(book, ref, path, block, known))
                yield from readable(_joined_columns(book, ref, path, block))
            known = _with_features(known, block)


def unknown_columns_of_models(book: Book) -> Iterator[Issue]:
    """Yield targets over columns the spine lacks, and predictions that keep such columns."""
    for name, model in book.manifest.models.items():
        spine = _spine_columns(book, name)
        if spine is not None:
            for path, sql in model.expressions():
                yield from _in_sql(book, MODELS.ref(name), path, sql, spine)
    for name, prediction in book.manifest.predictions.items():
        spine = _spine_columns(book, prediction.model)
        for index, column in enumerate(prediction.keep):
            if spine is not None and column not in spine:
                yield _plain(book, PREDICTIONS.ref(name), ("keep", index), column, spine)


def unknown_columns_of_reactions(book: Book) -> Iterator[Issue]:
    """Yield conditions, ranks and columns of messages that the prediction lacks."""
    for name, reaction in book.manifest.reactions.items():
        ref = reaction.prediction_ref
        known = book.columns.of(ref)
        if known is not None:
            hidden = HIDDEN if book.manifest.partitions(ref) else ()
            for path, sql in reaction.expressions():
                yield from _in_sql(book, REACTIONS.ref(name), path, sql, (*known, *hidden))
            for index, column in enumerate(reaction.columns):
                if column not in known:
                    yield _plain(book, REACTIONS.ref(name), ("columns", index), column, known)


def _named_by(table: TimedTable) -> Iterator[tuple[Path, str]]:
    with until_unknown():
        yield from ((("key", index), str(name)) for index, name in enumerate(table.key))
    with until_unknown():
        if table.event_timestamp is not None:
            yield ("event_timestamp",), str(table.event_timestamp)
    with until_unknown():
        if table.outcomes is not None:
            columns = enumerate(table.outcomes.columns)
            yield from ((("outcomes", "columns", index), str(name)) for index, name in columns)


def _spine_columns(book: Book, model: str) -> Names:
    feature_set = book.feature_set(book.manifest.models.get(model))
    return book.columns.of(feature_set.spine) if feature_set and book.timed(feature_set.spine) else None


def _spine_of(book: Book, feature_set: FeatureSetSpec) -> Names:
    """Return the columns that the first block can read of the spine; None where they are unknown."""
    with until_unknown():
        return book.columns.of(feature_set.spine) if book.timed(feature_set.spine) else None
    return None


def _with_features(known: Names, block: FeatureBlock) -> Names:
    """Return the columns that the block after this one can read."""
    with until_unknown():
        return None if known is None else (*known, *block.columns)
    return None


def _own_columns(book: Book, ref: str, path: Path, block: FeatureBlock, known: Names) -> Iterator[Issue]:
    """Yield what a block of the row itself reads that its spine lacks, and features above it."""
    if known is None or block.joined is not None:
        return
    available = [*known]
    for name, sql in block.columns.items():
        yield from readable(_in_sql(book, ref, (*path, "columns", name), sql, available))
        available.append(name)


def _joining_columns(book: Book, ref: str, path: Path, block: FeatureBlock, known: Names) -> Iterator[Issue]:
    """Yield what a block joins by that its spine lacks, and features above it."""
    for own in block.matches if known is not None else ():
        if known is not None and own not in known:
            yield _plain(book, ref, (*path, "on", own), own, known, at_key=True)


def _joined_columns(book: Book, ref: str, path: Path, block: FeatureBlock) -> Iterator[Issue]:
    """Yield what a block reads of its table that the table lacks."""
    joined = block.joined
    theirs = book.columns.of(joined) if joined is not None and book.timed(joined) else None
    if theirs is None:
        return
    with until_unknown():
        for own, their in block.matches.items():
            if their not in theirs:
                yield _plain(book, ref, (*path, "on", own), their, theirs)
    for place, sql in texts_at(block, "columns", path):
        yield from _in_sql(book, ref, place, sql, theirs)
    for field, sql in block.conditions():
        yield from _in_sql(book, ref, (*path, field), sql, theirs)


def _in_sql(book: Book, ref: str, path: Path, sql: str, known: Iterable[str]) -> Iterator[Issue]:
    """Yield an issue for each column an expression reads that is not among ``known``, compared without case."""
    folded = {name.lower() for name in known}
    seen: set[str] = set()
    for name, place in facts_of(sql).uses:
        if name.lower() not in folded and name.lower() not in seen and len(seen) < MOST_FAULTS:
            seen.add(name.lower())
            yield _plain(book, ref, path, name, known, sql=place)


def _plain(
    book: Book,
    ref: str,
    path: Path,
    name: str,
    known: Iterable[str],
    *,
    at_key: bool = False,
    sql: tuple[int, int] | None = None,
) -> Issue:
    message, fix = _ADVICE["unknown-column"]
    near = nearest_name(name, known)
    return book.issue(
        "unknown-column",
        ref,
        path,
        culprit=name,
        message=message.format(name),
        fix=fix,
        nearest=near,
        at_key=at_key,
        sql=sql,
    )

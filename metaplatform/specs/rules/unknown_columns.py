"""Columns: every name is one that its table has, as far as the book can tell."""

from collections.abc import Iterable, Iterator

from metaplatform.errors import Issue
from metaplatform.specs.features import FeatureBlock
from metaplatform.specs.ingestion import FileSource, TimedTable
from metaplatform.specs.nearest import nearest_name
from metaplatform.specs.query_columns import HIDDEN, MOST_FAULTS, Columns
from metaplatform.specs.references import Path
from metaplatform.specs.rules.book import Book
from metaplatform.specs.rules.sql_texts import facts_of

_ADVICE = {
    "unknown-column": ("there is no column '{}' here", "name a column the tables read here have"),
    "ambiguous-column": ("column '{}' is in more than one of the tables", "put the table's name before it"),
    "unnamed-column": ("'{}' has no name", "name it with `as`"),
    "name-clash": ("two columns are named '{}'", "rename one with `as`"),
}


def unknown_columns_of_tables(book: Book) -> Iterator[Issue]:
    """Yield keys, times, outcomes and derivations of sources and tables that name no column of theirs."""
    for ref, table in book.entities():
        if not isinstance(table, TimedTable):
            continue
        known = book.columns.of(ref)
        if known is not None:
            yield from (_plain(book, ref, path, name, known) for path, name in _named_by(table) if name not in known)
        if isinstance(table, FileSource) and table.columns:
            available = list(table.columns)
            for name, sql in table.derive.items():
                yield from _in_sql(book, ref, ("derive", name), sql, available)
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
        ref = f"features.{name}"
        spine = book.columns.of(feature_set.spine) if book.timed(feature_set.spine) else None
        above: list[str] = []
        for index, block in enumerate(feature_set.features):
            path: Path = ("features", index)
            if block.joined is None:
                yield from _expression_block(book, ref, path, block, spine, above)
            else:
                yield from _joined_block(book, ref, path, block, block.joined, spine, above)
            above.extend(block.columns)


def unknown_columns_of_models(book: Book) -> Iterator[Issue]:
    """Yield targets over columns the spine lacks, and predictions that keep such columns."""
    for name, model in book.manifest.models.items():
        spine = _spine_columns(book, name)
        if spine is not None:
            texts = (("sql", model.target.sql), ("exclude", model.target.exclude))
            for key, sql in texts:
                yield from _in_sql(book, f"models.{name}", ("target", key), sql or "true", spine)
    for name, prediction in book.manifest.predictions.items():
        spine = _spine_columns(book, prediction.model)
        for index, column in enumerate(prediction.keep):
            if spine is not None and column not in spine:
                yield _plain(book, f"predictions.{name}", ("keep", index), column, spine)


def unknown_columns_of_reactions(book: Book) -> Iterator[Issue]:
    """Yield conditions, ranks and columns of messages that the prediction lacks."""
    for name, reaction in book.manifest.reactions.items():
        ref = f"predictions.{reaction.prediction}"
        known = book.columns.of(ref)
        if known is not None:
            hidden = HIDDEN if book.manifest.partitions(ref) else ()
            for key, sql in (("when", reaction.when), ("rank_by", reaction.rank_by or "true")):
                yield from _in_sql(book, f"reactions.{name}", (key,), sql, (*known, *hidden))
            for index, column in enumerate(reaction.columns):
                if column not in known:
                    yield _plain(book, f"reactions.{name}", ("columns", index), column, known)


def _named_by(table: TimedTable) -> Iterator[tuple[Path, str]]:
    yield from ((("key", index), name) for index, name in enumerate(table.key))
    if table.event_timestamp is not None:
        yield ("event_timestamp",), table.event_timestamp
    if table.outcomes is not None:
        yield from ((("outcomes", "columns", index), name) for index, name in enumerate(table.outcomes.columns))


def _spine_columns(book: Book, model: str) -> Columns:
    feature_set = book.feature_set(book.manifest.models.get(model))
    return book.columns.of(feature_set.spine) if feature_set and book.timed(feature_set.spine) else None


def _expression_block(
    book: Book, ref: str, path: Path, block: FeatureBlock, spine: Columns, above: list[str]
) -> Iterator[Issue]:
    available = [*(spine or ()), *above]
    for name, sql in block.columns.items():
        if spine is not None:
            yield from _in_sql(book, ref, (*path, "columns", name), sql, available)
        available.append(name)


def _joined_block(
    book: Book, ref: str, path: Path, block: FeatureBlock, joined: str, spine: Columns, above: list[str]
) -> Iterator[Issue]:
    theirs = book.columns.of(joined) if book.timed(joined) else None
    for own, their in block.matches.items():
        if spine is not None and own not in {*spine, *above}:
            yield _plain(book, ref, (*path, "on", own), own, [*spine, *above], at_key=True)
        if theirs is not None and their not in theirs:
            yield _plain(book, ref, (*path, "on", own), their, theirs)
    if theirs is None:
        return
    for name, sql in block.columns.items():
        yield from _in_sql(book, ref, (*path, "columns", name), sql, theirs)
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

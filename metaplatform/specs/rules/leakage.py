"""Leakage: no feature may know what is only known later."""

from collections.abc import Iterable, Iterator

from metaplatform.chapters import FEATURE_SETS, MODELS, TABLES
from metaplatform.errors import Issue
from metaplatform.specs.entities.families import FeatureBlock
from metaplatform.specs.entities.ingestion import TimedTable
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.references import Path
from metaplatform.specs.rules.book import Book
from metaplatform.specs.rules.sql_texts import facts_of
from metaplatform.specs.rules.timing import identity_of
from metaplatform.sql.expressions import canonical_sql, table_uses


def leaked_outcomes(book: Book) -> Iterator[Issue]:
    """Yield features that read an outcome before it is known: of the row itself, or of rows too young."""
    for name, feature_set in book.manifest.feature_sets.items():
        spine = book.timed(feature_set.spine)
        above: set[str] = set()
        for index, block in enumerate(feature_set.features):
            if spine is not None:
                yield from _own_outcomes(book, FEATURE_SETS.ref(name), index, block, outcomes_of(spine) - above)
            if block.joined is not None:
                yield from _others_outcomes(book, FEATURE_SETS.ref(name), index, block, block.joined)
            above |= {feature.lower() for feature in block.columns}


def outcomes_in_identity(book: Book) -> Iterator[Issue]:
    """Yield keys and event timestamps that are outcomes: unknown at the moment they are to name."""
    for ref, table in book.timed_tables():
        outcomes = outcomes_of(table)
        for path, column in identity_of(table):
            if column.lower() in outcomes:
                yield _leak(book, ref, path, column, "a row's key and event timestamp are known at once")


def undeclared_outcomes(book: Book) -> Iterator[Issue]:
    """Warn of tables with a moment that hand on an input's outcomes without calling them so."""
    for name, table in book.manifest.tables.items():
        own = {column.lower(): column for column in book.columns.of(TABLES.ref(name)) or ()}
        if table.event_timestamp is None:
            continue
        for ref, place in table_uses(table.sql):
            source = book.timed(ref)
            handed_on = (outcomes_of(source) if source else set()) & set(own) - outcomes_of(table)
            for column in sorted(handed_on):
                yield book.issue(
                    "undeclared-outcome",
                    TABLES.ref(name),
                    ("sql",),
                    culprit=own[column],
                    message=f"'{own[column]}' is an outcome of '{ref}', and here a column like any other",
                    fix="name it in this table's 'outcomes', or rename it if it is known at the event timestamp",
                    sql=place,
                    severity="warning",
                )


def early_labels(book: Book) -> Iterator[Issue]:
    """Yield label delays that end before the outcomes the target reads are known."""
    for name, model in book.manifest.models.items():
        spine = book.spine(model)
        if spine is None or spine.outcomes is None or model.label_delay is None:
            continue
        read = set(facts_of(model.target.sql).columns) | set(facts_of(model.target.exclude or "true").columns)
        if outcomes_of(spine) & _folded(read) and _may_be_shorter(model.label_delay, spine.outcomes.delay):
            yield book.issue(
                "early-label",
                MODELS.ref(name),
                ("label_delay",),
                culprit=str(model.label_delay),
                message=f"the target reads outcomes, which are known {spine.outcomes.delay} after the event only",
                fix=f"make it {spine.outcomes.delay} or more, or leave it out",
            )


def leaked_targets(book: Book) -> Iterator[Issue]:
    """Yield features that are the target itself, and warn of those made of all that the target is made of."""
    for name, model in book.manifest.models.items():
        feature_set, spine = book.feature_set(model), book.spine(model)
        if feature_set is None or spine is None or facts_of(model.target.sql).error:
            continue
        used = {feature.lower() for feature in book.manifest.features_of(model)}
        for block in feature_set.features:
            for feature, sql in block.columns.items() if block.joined is None else ():
                if feature.lower() in used and not facts_of(sql).error:
                    yield from _target_issue(book, MODELS.ref(name), model, feature, sql)


def outcomes_of(table: TimedTable) -> set[str]:
    """Return the table's outcome columns and what a source derives from them, lower case."""
    outcomes = _folded(table.outcomes.columns) if table.outcomes else set()
    if outcomes:
        for name, sql in table.derived.items():
            if outcomes & _folded(facts_of(sql).columns):
                outcomes.add(name.lower())
    return outcomes


def _own_outcomes(book: Book, ref: str, index: int, block: FeatureBlock, outcomes: set[str]) -> Iterator[Issue]:
    """Yield what a block reads of its own row that is an outcome; a feature above hides a column of its name."""
    why = "it is not known at the row's event timestamp"
    if block.joined is not None:
        for own in block.matches:
            if own.lower() in outcomes:
                yield _leak(book, ref, ("features", index, "on", own), own, why, at_key=True)
        return
    hidden: set[str] = set()
    for name, sql in block.columns.items():
        yield from _leaks_in(book, ref, ("features", index, "columns", name), sql, outcomes - hidden, why)
        hidden.add(name.lower())


def _others_outcomes(book: Book, ref: str, index: int, block: FeatureBlock, joined: str) -> Iterator[Issue]:
    """Yield what a block reads of another table's rows that may not be known yet."""
    table = book.timed(joined)
    if table is None or table.outcomes is None:
        return
    why = f"of '{joined}' it is known {table.outcomes.delay} after the event only"
    if block.known_after is not None:
        if not _may_be_shorter(block.known_after, table.outcomes.delay):
            return
        why += f", and 'delay' is {block.known_after}"
    outcomes = outcomes_of(table)
    for own, theirs in block.matches.items():
        if theirs.lower() in outcomes:
            yield _leak(book, ref, ("features", index, "on", own), theirs, why)
    for name, sql in block.columns.items():
        yield from _leaks_in(book, ref, ("features", index, "columns", name), sql, outcomes, why)
    for field, sql in block.conditions():
        yield from _leaks_in(book, ref, ("features", index, field), sql, outcomes, why)


def _leaks_in(book: Book, ref: str, path: Path, sql: str, outcomes: set[str], why: str) -> Iterator[Issue]:
    seen: set[str] = set()
    for column, place in facts_of(sql).uses:
        if column.lower() in outcomes - seen:
            seen.add(column.lower())
            yield _leak(book, ref, path, column, why, sql=place)


def _leak(
    book: Book,
    ref: str,
    path: Path,
    column: str,
    why: str,
    *,
    at_key: bool = False,
    sql: tuple[int, int] | None = None,
) -> Issue:
    return book.issue(
        "leaked-outcome",
        ref,
        path,
        culprit=column,
        message=f"'{column}' is an outcome: {why}",
        fix="read another column, or past rows in a `window` or `as_of` block whose 'delay' is long enough",
        at_key=at_key,
        sql=sql,
    )


def _target_issue(book: Book, ref: str, model: ModelSpec, feature: str, sql: str) -> Iterator[Issue]:
    same = canonical_sql(sql).casefold() == canonical_sql(model.target.sql).casefold()
    target = _folded(facts_of(model.target.sql).columns)
    if not same and not (target and target <= _folded(facts_of(sql).columns)):
        return
    path: Path = ("features", model.features.index(feature)) if feature in model.features else ("feature_set",)
    yield book.issue(
        "leaked-target",
        ref,
        path,
        culprit=feature,
        message=f"feature '{feature}' " + ("is the target" if same else "reads all that the target is made of"),
        fix="exclude it, or declare what is known only later as 'outcomes' of the spine",
        severity="error" if same else "warning",
    )


def _may_be_shorter(one: Duration, other: Duration) -> bool:
    if one.months and other.months:
        return one.months < other.months
    return one.shortest < other.longest


def _folded(names: Iterable[str]) -> set[str]:
    return {name.lower() for name in names}

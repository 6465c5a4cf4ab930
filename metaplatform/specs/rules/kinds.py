"""Kinds of value: every operation, condition, key, moment and target has values that it can work on."""

from collections.abc import Iterator
from typing import Literal

from metaplatform.chapters import FEATURE_SETS, MODELS, REACTIONS, SOURCES, TABLES
from metaplatform.errors import Issue
from metaplatform.naming import ref_name
from metaplatform.specs.book.columns import kind_in
from metaplatform.specs.entities.ingestion import Source
from metaplatform.specs.fields.references import Path
from metaplatform.specs.rules.book import Book
from metaplatform.sql.columns import Kinds, kinds_of
from metaplatform.sql.dialect import sql_text
from metaplatform.sql.expressions import canonical_type
from metaplatform.sql.sql_safety import SqlError
from metaplatform.sql.value_kinds import Kind, KindFault, kind_of_type, shown_kind

_INEXACT = ("DOUBLE", "REAL", "FLOAT")


def wrong_kinds_in_sql(book: Book) -> Iterator[Issue]:
    """Yield operations on values that DuckDB refuses, and warn of comparisons that depend on the values."""
    for ref, _ in book.entities():
        for fault in book.columns.query(ref).wrong_kinds:
            yield _as_issue(book, ref, ("sql",), fault)
        if FEATURE_SETS.holds(ref):
            for index, name, _, found in book.columns.features(book.manifest.feature_sets[ref_name(ref)]):
                for fault in found.faults:
                    yield _as_issue(book, ref, ("features", index, "columns", name), fault)
        for path, sql, kinds in _expressions(book, ref):
            for fault in kind_in(sql, kinds or {}).faults:
                yield _as_issue(book, ref, path, fault)


def conditions_that_are_none(book: Book) -> Iterator[Issue]:
    """Warn of conditions that are neither true nor false, but text, a number or a moment."""
    for ref, _ in book.entities():
        for path, sql, kinds in _expressions(book, ref):
            if path[-1] in {"where", "when", "exclude"}:
                yield from _condition(book, ref, path, sql, kind_in(sql, kinds or {}).kind)
        for tree, kind in book.columns.query(ref).conditions:
            yield from _condition(book, ref, ("sql",), sql_text(tree), kind)


def impossible_targets(book: Book) -> Iterator[Issue]:
    """Yield targets that are text or a moment: labels are true or false, or numbers."""
    for name, model in book.manifest.models.items():
        feature_set = book.feature_set(model)
        kinds = book.columns.kinds(feature_set.spine) if feature_set else None
        kind = kind_in(model.target.sql, kinds or {}).kind
        if kind in {"text", "moment"}:
            wanted = "true or false" if model.task == "binary" else "a number"
            yield book.issue(
                "wrong-type",
                MODELS.ref(name),
                ("target", "sql"),
                culprit=model.target.sql.strip()[:80],
                message=f"the target is {shown_kind(kind)}, and that of a {model.task} model is {wanted}",
                fix="compare it, as in `status = 'late'`" if model.task == "binary" else "cast it, as in `x::double`",
            )


def joins_of_different_kinds(book: Book) -> Iterator[Issue]:
    """Yield blocks that join columns of different kinds; text that may hold the other kind is a warning."""
    for name, feature_set in book.manifest.feature_sets.items():
        above: set[str] = set()
        spine = book.columns.kinds(feature_set.spine) or {}
        for index, block in enumerate(feature_set.features):
            theirs = (book.columns.kinds(block.joined) if block.joined else None) or {}
            for own, their in block.matches.items():
                pair = (spine.get(own.lower()), theirs.get(their.lower()))
                if own.lower() not in above and None not in pair and pair[0] != pair[1]:
                    yield _uneven_join(book, FEATURE_SETS.ref(name), ("features", index, "on", own), (own, their), pair)
            above |= {feature.lower() for feature in block.columns}


def wrong_event_timestamps(book: Book) -> Iterator[Issue]:
    """Yield event timestamps that are something else than a date or a timestamp."""
    for name, source in book.manifest.sources.items():
        moment = source.event_timestamp
        written = _types(book, source).get(moment.lower()) if moment else None
        if moment and written is not None and _is_type(written) and kind_of_type(written) != "moment":
            yield _no_moment(book, SOURCES.ref(name), moment, written)
    for name, table in book.manifest.tables.items():
        moment = table.event_timestamp
        kind = (kinds_of(book.columns.query(TABLES.ref(name)).output) or {}).get(moment.lower()) if moment else None
        if moment and kind not in {None, "moment"}:
            yield _no_moment(book, TABLES.ref(name), moment, shown_kind(kind))


def _no_moment(book: Book, ref: str, column: str, what: str) -> Issue:
    return book.issue(
        "wrong-type",
        ref,
        ("event_timestamp",),
        culprit=column,
        message=f"event_timestamp: '{column}' is {what}, which is not a moment",
        fix="make it a timestamptz, a timestamp or a date, in `columns` or by a cast",
    )


def inexact_keys(book: Book) -> Iterator[Issue]:
    """Warn of keys of floating point numbers, which are seldom equal."""
    for name, source in book.manifest.sources.items():
        declared = _types(book, source)
        for index, column in enumerate(source.key):
            written = declared.get(column.lower())
            if written is not None and _is_type(written) and canonical_type(written) in _INEXACT:
                yield book.issue(
                    "inexact-key",
                    SOURCES.ref(name),
                    ("key", index),
                    culprit=column,
                    message=f"key column '{column}' is {written}: rounding makes equal keys differ",
                    fix="declare it as bigint, varchar or decimal",
                    severity="warning",
                )


def _expressions(book: Book, ref: str) -> Iterator[tuple[Path, str, Kinds]]:
    """Yield the expressions of an entity that are not features, with the kinds of the columns they read."""
    entity = book.manifest.entities[ref]
    if SOURCES.holds(ref):
        kinds: dict[str, Kind] = dict(book.columns.kinds(ref) or {})
        # A later derivation may hide nothing that an earlier one reads: names are unique.
        yield from ((("derive", name), sql, kinds) for name, sql in entity.derived.items())
    elif FEATURE_SETS.holds(ref):
        for index, block in enumerate(book.manifest.feature_sets[ref_name(ref)].features):
            for field, sql in block.conditions():
                yield ("features", index, field), sql, book.columns.kinds(block.joined) if block.joined else None
    elif MODELS.holds(ref):
        model = book.manifest.models[entity.name]
        feature_set = book.feature_set(model)
        kinds_of_spine = book.columns.kinds(feature_set.spine) if feature_set else None
        yield ("target", "sql"), model.target.sql, kinds_of_spine
        if model.target.exclude is not None:
            yield ("target", "exclude"), model.target.exclude, kinds_of_spine
    elif REACTIONS.holds(ref):
        reaction = book.manifest.reactions[entity.name]
        yield ("when",), reaction.when, book.columns.kinds(reaction.prediction_ref)


def _condition(book: Book, ref: str, path: Path, sql: str, kind: Kind) -> Iterator[Issue]:
    if kind in {"text", "number", "moment"}:
        yield book.issue(
            "no-condition",
            ref,
            path,
            culprit=sql.strip()[:80],
            message=f"a condition is true or false, but this is {shown_kind(kind)}",
            fix="compare it with something",
            severity="warning",
        )


def _uneven_join(book: Book, ref: str, path: Path, names: tuple[str, str], pair: tuple[Kind, Kind]) -> Issue:
    severity: Literal["error", "warning"] = (
        "warning" if "text" in pair or set(pair) <= {"number", "boolean"} else "error"
    )
    own, other = names
    return book.issue(
        "wrong-kind",
        ref,
        path,
        culprit=own,
        message=f"'{own}' is {shown_kind(pair[0])}, but '{other}', which must equal it, is {shown_kind(pair[1])}",
        fix="declare both columns with one type",
        at_key=True,
        severity=severity,
    )


def _as_issue(book: Book, ref: str, path: Path, fault: KindFault) -> Issue:
    return book.issue(
        "wrong-kind",
        ref,
        path,
        culprit=fault.culprit,
        message=fault.message,
        fix=fault.fix,
        sql=fault.place,
        severity="error" if fault.certain else "warning",
    )


def _types(book: Book, source: Source) -> dict[str, str]:
    """Return the types of a source's columns as declared, or else as its files have them."""
    look = book.looks.get(source.name)
    types = source.columns or (look.columns if look else {})
    return {name.lower(): written for name, written in types.items()}


def _is_type(written: str) -> bool:
    try:
        canonical_type(written)
    except SqlError:
        return False
    return True

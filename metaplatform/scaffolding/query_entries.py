"""A table of the book → what is made from it by SQL, its real columns named: another table, or a report."""

from collections.abc import Iterator, Sequence

from metaplatform.chapters import PREDICTIONS, STORED
from metaplatform.errors import DataError
from metaplatform.naming import ref_name
from metaplatform.resources.sources.sampling import sample_source
from metaplatform.scaffolding.known_tables import entity_at
from metaplatform.scaffolding.yaml_text import commented, listed, scalar, sql_column
from metaplatform.specs.book.columns import columns_of
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.inference import SCORE_COLUMNS, STAMP_COLUMNS
from metaplatform.specs.rules.leakage import outcomes_of


def table_entry(manifest: Manifest, name: str, *, source: str) -> tuple[str, ...]:
    """Return the lines of a table over ``source``, with all its columns, key and time.

    Raises:
        DataError: if the book has no such table, or its columns are known neither to the book nor from its files.
    """
    entity_at(manifest, source, STORED, owner="new table")
    return tuple(_table(manifest, name, source, _columns(manifest, source)))


def report_entry(manifest: Manifest, name: str, *, table: str) -> tuple[str, ...]:
    """Return the lines of a report of ``table``, with all its columns.

    Raises:
        DataError: as :func:`table_entry`.
    """
    entity_at(manifest, table, STORED, owner="new report")
    return tuple(_report(manifest, name, table, _columns(manifest, table)))


def _columns(manifest: Manifest, ref: str) -> tuple[str, ...]:
    known = columns_of(manifest, ref)
    if known:
        return known
    found = manifest.source_at(ref)
    if found is not None:
        sample = sample_source(found, manifest.root, allowed=manifest.source_folders)
        return (*(each.name for each in sample.columns), *found.derive)
    fix = "name them in its SQL instead of `*`, or declare the `columns` of its sources"
    raise DataError(owner=ref, culprit="the book does not know its columns", fix=fix)


def _table(manifest: Manifest, name: str, source: str, columns: Sequence[str]) -> Iterator[str]:
    yield f"  {name}:"
    yield f"    # A copy of {source} to begin with: filter, join, aggregate. What each row is about cannot be known:"
    yield "    # correct key and time below when the query no longer gives them."
    yield "    sql: |"
    yield from _select(columns, source)
    found = manifest.timed_at(source)
    if found is not None:
        yield from ([f"    key: {listed(found.key)}"] if found.key else [])
        if found.event_timestamp:
            yield f"    event_timestamp: {scalar(found.event_timestamp)}"
        if found.outcomes:
            known_later = [column for column in columns if column.lower() in outcomes_of(found)]
            later = f"{{columns: {listed(known_later)}, delay: {found.outcomes.delay}}}"
            yield commented(f"    outcomes: {later}", "and what is made of them")
    yield from _partitions(manifest, source)


def _report(manifest: Manifest, name: str, table: str, columns: Sequence[str]) -> Iterator[str]:
    scores = manifest.predictions.get(ref_name(table)) if PREDICTIONS.holds(table) else None
    yield f"  {name}:"
    yield "    kind: report"
    yield commented(f"    title: {scalar(name.replace('_', ' ').capitalize())}", "heads the page: say what it is for")
    yield "    sql: |"
    if scores is not None:
        score = SCORE_COLUMNS[manifest.models[scores.model].task]
        yield from _select([column for column in columns if column not in STAMP_COLUMNS], table)
        yield f"      order by {score} desc"
    else:
        yield from _select(columns, table)
    yield "      limit 500"
    yield from _partitions(manifest, table)


def _select(columns: Sequence[str], table: str) -> Iterator[str]:
    yield "      select"
    last = len(columns) - 1
    for number, column in enumerate(columns):
        yield f"        {sql_column(column)}{'' if number == last else ','}"
    yield f"      from {table}"


def _partitions(manifest: Manifest, ref: str) -> Iterator[str]:
    if manifest.partitions(ref):
        yield commented(f"    partitioned_by: {ref}", "made again for each partition that arrives; without it, whole")

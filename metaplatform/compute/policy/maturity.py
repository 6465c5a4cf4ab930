"""How far labels are known: not by the passing of time alone, but as far as what they are made of has arrived."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from sqlglot import exp

from metaplatform.chapters import SOURCES, TABLES
from metaplatform.naming import ref_name
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.sql.expressions import parse_query, referenced_tables

NOTHING_ARRIVED = datetime(1000, 1, 1, tzinfo=UTC)
"""How far labels are known that read what has not arrived at all; a delay before it is still a moment."""


def arrived_until(manifest: Manifest, model: ModelSpec, ends: Mapping[str, datetime]) -> datetime | None:
    """Return the moment up to which all has arrived that the labels of ``model`` read; None if that bounds nothing.

    ``ends`` gives the end of what has arrived of each source with an event timestamp, as far as anything has: of one
    with partitions the end of its newest, of one without its newest event. The end of the data is not the passing of
    time: a label whose window reaches behind it would be cut short. Of sources without partitions the one that
    reaches farthest counts, for one that rarely changes (prices, say) has no later events for that reason alone.
    """
    read = label_sources(manifest, model)
    partitioned = [name for name in read if manifest.sources[name].partitions]
    bounds = [ends.get(name, NOTHING_ARRIVED) for name in partitioned]
    if loose := [name for name in read if name not in partitioned]:
        bounds.append(max(ends.get(name, NOTHING_ARRIVED) for name in loose))
    return min(bounds, default=None)


def label_sources(manifest: Manifest, model: ModelSpec) -> tuple[str, ...]:
    """Return the sources with an event timestamp of which a label may read other rows than its own.

    None where the model's spine is a source, or a table that makes each row of one row of a source: an outcome that
    stands in the row has arrived with it, and is known when its delay has passed.
    """
    ref = manifest.feature_sets[model.feature_set].spine
    while TABLES.holds(ref):
        sql = manifest.tables[ref_name(ref)].sql
        if not makes_rows_of_rows(sql):
            return tuple(dict.fromkeys(_timed_sources(manifest, ref)))
        (ref,) = referenced_tables(sql)
    return ()


def makes_rows_of_rows(sql: str) -> bool:
    """Tell whether a query makes each of its rows of one row of one table, and reads no other rows for it."""
    tree = parse_query(sql)
    tables = sum(1 for _ in tree.find_all(exp.Table))
    alone = tables == 1 + sum(1 for _ in tree.find_all(exp.CTE)) and len(referenced_tables(sql)) == 1
    return alone and tree.find(exp.Join, exp.Window, exp.AggFunc, exp.Group, exp.Distinct) is None


def _timed_sources(manifest: Manifest, ref: str) -> Iterator[str]:
    if SOURCES.holds(ref):
        name = ref_name(ref)
        if manifest.sources[name].event_timestamp:
            yield name
        return
    for parent in manifest.upstream(ref):
        yield from _timed_sources(manifest, parent)

"""A feature set → one ibis table: a row for each row of the spine, with what was known at its time."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import ibis
from sqlglot import exp

from metaplatform.compute.features.joins import join_as_of, join_lookup
from metaplatform.compute.features.spine import Spine, Table
from metaplatform.compute.features.windows import join_windows, sorted_together
from metaplatform.compute.instants import inside, instant
from metaplatform.compute.sql_columns import ROW, Scope, Steps, all_columns, column, fresh, named, project, source
from metaplatform.errors import DataError
from metaplatform.extensions import WorkByKind
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.features import AsOfFeatures, ExpressionFeatures, LookupFeatures, WindowFeatures
from metaplatform.specs.fields.partitions import Window

Described = Mapping[str, Table]
"""The tables that a feature set reads, by reference."""


def build_features(
    spec: FeatureSetSpec, *, manifest: Manifest, tables: Mapping[str, ibis.Table], window: Window | None
) -> ibis.Table:
    """Return the features of every spine row, of those in ``window`` if given.

    ``tables`` holds each table of ``spec.tables`` by reference, with all its history: what lies before the
    window is looked back on. Columns: the spine's key, its event timestamp (TIMESTAMPTZ, UTC), the features in
    book order; one row for each row of the spine. A number that is not finite is null.

    A joined row counts for a spine row only if it was known before the spine row's event timestamp; a lookup
    table has no time, and must be unique by its ``on`` columns: the query stops at a duplicate that matters.

    Raises:
        DataError: if a column is missing, or an expression does not fit the columns' types.
    """
    owner = spec.ref
    described = {ref: Table.of(ref, tables[ref], manifest.timed_table(ref), owner=owner) for ref in spec.tables}
    spine = _spine(spec, Steps(owner, {ref: tables[ref] for ref in spec.tables}), described, window)
    for block in spec.features:
        spine = BUILDERS.of(block.kind)(spine, block, spec, described)
    return storable(spine.steps.finish(_output(spine, spec)), spec.feature_names)


def _spine(spec: FeatureSetSpec, steps: Steps, described: Mapping[str, Table], window: Window | None) -> Spine:
    table = described[spec.spine]
    query = exp.select(all_columns(ROW)).from_(source(spec.spine))
    moment = ""
    if table.spec.event_timestamp:
        moment = fresh("_moment", table.scope.taken)
        query = query.select(named(table.event_microseconds(), moment))
        if window:
            query = query.where(inside(*table.event_timestamp, window))
    base = steps.add("spine", query)
    scope = Scope.of(table.scope.columns.values(), steps.owner, hidden=[moment])
    return Spine(steps, table, base, base, scope, moment, window)


def _add_expressions(spine: Spine, block: ExpressionFeatures, spec: FeatureSetSpec, described: Described) -> Spine:
    del spec, described
    current, scope = project(spine.steps, "spine", scope=spine.scope, current=spine.current, columns=block.columns)
    return spine.moved_to(current, scope)


def _add_facts(spine: Spine, block: LookupFeatures, spec: FeatureSetSpec, described: Described) -> Spine:
    del spec
    return join_lookup(spine, block, described[block.table])


def _add_latest(spine: Spine, block: AsOfFeatures, spec: FeatureSetSpec, described: Described) -> Spine:
    del spec
    return join_as_of(spine, block, described[block.table])


def _add_window(spine: Spine, block: WindowFeatures, spec: FeatureSetSpec, described: Described) -> Spine:
    """Reveal the block's features if an earlier block's sort has answered them, or else join them."""
    if all(name in spine.joined for name in block.columns):
        return spine.moved_to(spine.current, spine.scope.adding({name: spine.joined[name] for name in block.columns}))
    table = described[block.table]
    blocks = [block]
    if all(spine.is_own(own) for own in block.on):
        wanted = sorted_together(spine, block, table)
        later = spec.features[spec.features.index(block) + 1 :]
        blocks += [
            other
            for other in later
            if isinstance(other, WindowFeatures)
            and other.table == block.table
            and all(_stays_own(own, spine, spec, other) for own in other.on)
            and sorted_together(spine, other, table) == wanted
        ]
    return join_windows(spine, blocks, table)


BUILDERS: WorkByKind[Callable[[Spine, Any, FeatureSetSpec, Described], Spine]] = WorkByKind(
    "features",
    {"expression": _add_expressions, "lookup": _add_facts, "as_of": _add_latest, "window": _add_window},
)
"""What adds a block's features to the spine, by the block's kind, given the whole set and the tables it reads."""


def _stays_own(name: str, spine: Spine, spec: FeatureSetSpec, block: WindowFeatures) -> bool:
    """Tell whether ``name`` is the spine's own column still when ``block`` is reached."""
    above = spec.features[: spec.features.index(block)]
    return name.lower() in spine.table.scope.columns and not any(
        name.lower() == feature.lower() for earlier in above for feature in earlier.columns
    )


def _output(spine: Spine, spec: FeatureSetSpec) -> exp.Select:
    table = spine.table
    kept = {table.scope.find(name): name for name in table.spec.key}
    if table.spec.event_timestamp:
        kept.setdefault(table.scope.find(table.spec.event_timestamp), table.spec.event_timestamp)
    clash = [name for name in spec.feature_names if any(name.lower() == other.lower() for other in kept)]
    if clash:
        raise DataError(
            owner=spine.steps.owner,
            culprit=f"feature '{clash[0]}' has the name of a key column or of the event timestamp",
            fix="rename the feature",
        )
    moment = table.event_timestamp[0].name if table.spec.event_timestamp else None
    selected = [
        named(instant(column(spine.moment)) if behind == moment else column(behind), name)
        for behind, name in kept.items()
    ]
    features = [named(column(spine.scope.find(name)), name) for name in spec.feature_names]
    return exp.select(*selected, *features).from_(source(spine.current))


def storable(table: ibis.Table, values: Collection[str]) -> ibis.Table:
    """Return the table with ``values`` in types that every store keeps, and null for numbers that are not finite.

    Sums of integers and decimals become doubles, unsigned integers signed ones. All other columns stay as they
    are: a key must be the same wherever rows are joined by it.
    """
    return table.mutate(**{name: _storable(table[name]) for name in values})


def _storable(value: Any) -> Any:
    dtype = value.type()
    if dtype.is_decimal() or dtype.is_uint64():
        return value.cast("float64")
    if dtype.is_unsigned_integer():
        return value.cast("int64")
    if dtype.is_uuid():
        return value.cast("string")
    if dtype.is_floating():
        return (value.isnan() | value.isinf()).ifelse(None, value)
    return value

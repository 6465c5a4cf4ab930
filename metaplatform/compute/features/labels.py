"""Labels: what a model is to learn of each spine row, and the frame it is trained on."""

from collections.abc import Sequence
from datetime import datetime

import ibis
from sqlglot import exp

from metaplatform.compute.chosen_rows import within
from metaplatform.compute.features.building import storable
from metaplatform.compute.features.spine import Table
from metaplatform.compute.instants import instant
from metaplatform.compute.sql_columns import Steps, column, named, source
from metaplatform.errors import DataError
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import Window
from metaplatform.sql.dialect import cast_to

LABEL, EXCLUDED = "label", "excluded"


def labels(spec: ModelSpec, spine: ibis.Table, *, manifest: Manifest) -> ibis.Table:
    """Return the label of every row of the model's spine, known by now or not.

    Columns: the spine's key, its event timestamp (TIMESTAMPTZ, UTC), ``label`` (double, 1 or 0 for a true or
    false target; null where the target is null or not finite) and ``excluded`` (boolean, never null).

    Raises:
        DataError: if an expression reads a column that is not there, or does not fit the types.
    """
    owner = spec.ref
    ref = manifest.feature_sets[spec.feature_set].spine
    table = Table.of(ref, spine, manifest.timed_table(ref), owner=owner)
    selected = _row_columns(table)
    clash = {LABEL, EXCLUDED}.intersection(name.lower() for name in selected)
    if clash:
        raise DataError(owner=owner, culprit=f"{ref} has a key column '{clash.pop()}'", fix="rename the key column")
    label = cast_to(table.scope.parse(spec.target.sql), "double")
    excluded = table.scope.parse(spec.target.exclude) if spec.target.exclude else exp.false()
    query = exp.select(
        *(named(tree, name) for name, tree in selected.items()),
        named(label, LABEL),
        named(exp.Coalesce(this=excluded, expressions=[exp.false()]), EXCLUDED),
    )
    return storable(Steps(owner, {ref: spine}).finish(query.from_(source(ref))), [LABEL])


def _row_columns(table: Table) -> dict[str, exp.Expr]:
    columns: dict[str, exp.Expr] = {name: column(table.scope.find(name)) for name in table.spec.key}
    moment = table.spec.event_timestamp
    if moment:
        name = next((key for key in columns if key.lower() == moment.lower()), moment)
        columns[name] = instant(table.event_microseconds())
    return columns


def mature(rows: ibis.Table, *, event_timestamp: str | None, delay: Duration, now: datetime) -> ibis.Table:
    """Return the rows whose label can be known at ``now``: event timestamp plus ``delay`` is not after it.

    Without an event timestamp every row is mature.
    """
    if event_timestamp is None:
        return rows
    moment = rows[event_timestamp]
    if delay.months:
        known = moment + ibis.interval(months=delay.months)
        return rows.filter(known <= ibis.literal(now))
    return rows.filter(moment <= ibis.literal(delay.before(now)))


def training_frame(
    features: ibis.Table,
    labelled: ibis.Table,
    *,
    key: Sequence[str],
    event_timestamp: str | None,
    window: Window | None,
) -> ibis.Table:
    """Return features with their ``label``, for training: rows with a label that are not excluded.

    Columns: key, event timestamp, features, ``label``. Rows of ``window`` only (by event timestamp), in order
    of event timestamp, then key: the order of rows changes what boosting learns.

    Raises:
        DataError: if a feature is called like the label.
    """
    clash = [name for name in features.columns if name.lower() == LABEL]
    if clash:
        raise DataError(owner="training frame", culprit=f"there is a feature '{clash[0]}'", fix="rename the feature")
    wanted = features
    if event_timestamp and window:
        wanted = within(wanted, event_timestamp, window.start, window.end)
    joined = wanted.inner_join(usable_labels(labelled, key), list(key))
    return joined.select(*features.columns, LABEL).order_by(training_order(key, event_timestamp))


def training_order(key: Sequence[str], event_timestamp: str | None) -> tuple[str, ...]:
    """Return the columns that put rows in order: event timestamp, then key."""
    return tuple(dict.fromkeys(name for name in (event_timestamp, *key) if name))


def usable_labels(labelled: ibis.Table, key: Sequence[str]) -> ibis.Table:
    """Return key and ``label`` of the rows that have a label and are not excluded."""
    return labelled.filter(labelled[LABEL].notnull(), ~labelled[EXCLUDED]).select(*key, LABEL)

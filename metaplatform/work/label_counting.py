"""Counts the labels of a model partition by partition, and tells what a training would be made of.

Runs count, where features are made and where a version is trained; a sensor's tick only adds up what they kept.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import ibis

from metaplatform.compute.chosen_rows import in_partitions
from metaplatform.compute.features import labels, usable_labels
from metaplatform.compute.label_counts import (
    LabelCounts,
    Learnt,
    Prospect,
    Tally,
    counting_step,
    evenly,
    prospect,
    tallies_of,
)
from metaplatform.compute.training import LABEL
from metaplatform.errors import MetaplatformError
from metaplatform.naming import PARTITION, stable_id
from metaplatform.resources.delta.delta_partitions import PartitionState
from metaplatform.resources.engine.session import Session
from metaplatform.resources.models.model_registry import ModelVersion
from metaplatform.resources.process.remembered import Remembered
from metaplatform.resources.storage.label_records import Counted, LabelRecords
from metaplatform.resources.storage.table_logs import TableLogs
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.training import ModelSpec
from metaplatform.specs.fields.partitions import Window
from metaplatform.work.label_maturity import labels_known_at
from metaplatform.work.labelled_rows import order_of
from metaplatform.work.steps import Step

_known: Remembered[tuple[Path, str], LabelCounts] = Remembered()


def mature_until(manifest: Manifest, model: ModelSpec, warehouse: TableLogs, now: datetime) -> datetime:
    """Return the moment before which every label is known at ``now``, as far as what it is made of has arrived."""
    return manifest.label_delay(model).before(labels_known_at(manifest, model, warehouse, now))


def kept_counts(manifest: Manifest, model: ModelSpec, warehouse: TableLogs, mature: datetime) -> LabelCounts:
    """Return what runs have counted of the features there are; no data are read.

    Partitions that no run has counted are taken to have a label in every row, evenly spread: so is all of a table
    without partitions, over the training window before ``mature``.
    """
    ref = model.feature_set_ref
    counted = LabelRecords(warehouse.root_path).read(model.name, _definition(manifest, model))
    partitions = warehouse.partitions(ref)
    if manifest.partitions(ref) is None:
        return _counts(manifest, model, mature, counted, partitions)
    return _known.of(
        (warehouse.root_path, model.name),
        (manifest, counted, partitions),
        partial(_counts, manifest, model, mature, counted, partitions),
    )


def _counts(
    manifest: Manifest,
    model: ModelSpec,
    mature: datetime,
    counted: Counted,
    partitions: Mapping[str, PartitionState],
) -> LabelCounts:
    """Return the counts of partitions; what is ``mature`` bounds those of a table without any."""
    step, scheme = counting_step(model.training), manifest.partitions(model.feature_set_ref)

    def window(key: str) -> Window:
        return scheme.window(key) if scheme else Window(model.training.window.before(mature), mature)

    def spans() -> Iterator[tuple[datetime, Tally]]:
        for key, state in partitions.items():
            if key in counted:
                tallies = {number: Tally(*tally) for number, tally in counted[key].items()}
                yield from tallies_of(tallies, step)
            else:
                yield from evenly(window(key), state.rows, step)

    filled = sorted(key for key, state in partitions.items() if counted.get(key, state.rows))
    within = Window(window(filled[0]).start, window(filled[-1]).end) if scheme and filled else None
    return LabelCounts(step, spans(), within=within)


def counted_partitions(manifest: Manifest, model: ModelSpec, warehouse: Warehouse) -> Collection[str]:
    """Return the partitions whose labels some run has counted."""
    return LabelRecords(warehouse.root_path).read(model.name, _definition(manifest, model)).keys()


def prospect_of(
    model: ModelSpec,
    counts: LabelCounts,
    mature: datetime,
    *,
    champion: ModelVersion | None,
    versions: Collection[ModelVersion],
) -> Prospect | None:
    """Return what a training of ``model`` would be made of, beside the versions there are; None without labels."""
    newest = max(versions, key=lambda version: (version.cut, version.version), default=None)
    return prospect(
        model,
        counts,
        mature,
        learnt=Learnt(newest.trained_from, newest.cut, newest.labelled_rows) if newest else None,
        unseen_since=champion.holdout_from if champion else None,
    )


def keep_label_counts(session: Session, step: Step, feature_set: str) -> None:
    """Count the labels of the step's features for every model that learns from them.

    What is wrong with a target is the business of its training: features, and what follows from them, go on.
    """
    for model in step.manifest.models.values():
        if model.feature_set != feature_set:
            continue
        try:
            recount(session, step.manifest, model, step.warehouse, step.partitions or ("",))
        except MetaplatformError as error:
            step.log(f"the labels of {model.ref} are not counted: {error}")


def recount(
    session: Session, manifest: Manifest, model: ModelSpec, warehouse: Warehouse, partitions: Collection[str]
) -> None:
    """Count the labels of some partitions of the model's features, and keep what was found."""
    counted = count_by_step(session, manifest, model, partitions)
    LabelRecords(warehouse.root_path).keep(model.name, _definition(manifest, model), counted)


def count_by_step(session: Session, manifest: Manifest, model: ModelSpec, partitions: Collection[str]) -> Counted:
    """Return the usable labels, known by now or not, of the features in ``partitions`` (``""``: of them all)."""
    found: dict[str, dict[int, tuple[int, float, float]]] = {key: {} for key in partitions}
    step = counting_step(model.training)
    moment, *_ = order_of(manifest, model)
    rows = _usable(session, manifest, model, partitions)
    counts = rows.group_by("partition", start=rows[moment].truncate("h" if step == timedelta(hours=1) else "m")).agg(
        rows=rows.count(), least=rows[LABEL].min(), greatest=rows[LABEL].max()
    )
    number = (counts["start"].epoch_seconds() // int(step.total_seconds())).cast("int64")
    for row in (
        session.stream(counts.select("partition", "rows", "least", "greatest", number=number)).read_all().to_pylist()
    ):
        found[row["partition"]][row["number"]] = (row["rows"], row["least"], row["greatest"])
    return found


def _usable(session: Session, manifest: Manifest, model: ModelSpec, partitions: Collection[str]) -> ibis.Table:
    """Return event timestamp, label and ``partition`` of the features that have a usable label."""
    moment, *_ = order = order_of(manifest, model)
    features = session.table(model.feature_set_ref)
    spine = session.table(manifest.feature_sets[model.feature_set].spine)
    partition = ibis.literal("")
    if manifest.partitions(model.feature_set_ref):
        features, spine = (in_partitions(table, partitions) for table in (features, spine))
        partition = features[PARTITION]
    known = labels(model, spine, manifest=manifest)
    present = features.select(*order, partition=partition)
    # By the moment too: rows of two partitions may have one key.
    return present.inner_join(usable_labels(known, order), list(order)).select(moment, LABEL, "partition")


def _definition(manifest: Manifest, model: ModelSpec) -> str:
    """Return what identifies a count: another target, or other features, and it is worth nothing."""
    target = model.target
    spine = manifest.feature_sets[model.feature_set].spine
    return stable_id(target.sql, target.exclude, model.feature_set, spine, counting_step(model.training))

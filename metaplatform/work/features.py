"""Feature sets: the features of each row of a spine, stored."""

from metaplatform.compute.chosen_rows import in_partition
from metaplatform.compute.features import build_features
from metaplatform.work.builds import recorded
from metaplatform.work.keys import check_key
from metaplatform.work.label_counting import keep_label_counts
from metaplatform.work.steps import Made, Step, table_metadata


@recorded
def make_features(step: Step) -> Made:
    """Store the features of a spine's rows (those of the step's partition, if it has any), and count their labels.

    Raises:
        DataError: if the spine's key does not tell its rows apart.
    """
    manifest, spec = step.manifest, step.manifest.feature_sets[step.name]
    with step.warehouse.session() as session:
        tables = {table: session.table(table) for table in spec.tables}
        spine = in_partition(tables[spec.spine], step.partition)
        check_key(session, spine, manifest.timed_table(spec.spine).key, owner=spec.spine)
        frame = build_features(spec, manifest=manifest, tables=tables, window=step.window)
        reader = session.stream(frame, owner=step.ref)
        written = step.warehouse.replace(step.ref, reader, partition=step.partition, metadata=step.commit)
        keep_label_counts(session, step, spec.name)
    return Made(table_metadata(step, written))

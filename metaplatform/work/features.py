"""Feature sets: the features of each row of a spine, stored."""

from metaplatform.compute.chosen_rows import in_partitions
from metaplatform.compute.features import build_features
from metaplatform.naming import PARTITION
from metaplatform.work.builds import recorded_at_once
from metaplatform.work.keys import check_key
from metaplatform.work.label_counting import keep_label_counts
from metaplatform.work.steps import Made, Step
from metaplatform.work.stored_rows import made_of, store


@recorded_at_once
def make_features(step: Step) -> dict[str, Made]:
    """Store the features of a spine's rows (of those partitions that the step makes, if any), and count their labels.

    Raises:
        DataError: if the spine's key does not tell its rows apart.
    """
    manifest, spec = step.manifest, step.manifest.feature_sets[step.name]
    with step.warehouse.session() as session:
        tables = {table: session.table(table) for table in spec.tables}
        spine = tables[spec.spine]
        spine = in_partitions(spine, step.partitions) if step.partitions else spine
        if key := manifest.timed_table(spec.spine).key:
            # A partition is held against itself: rows of two may have one key.
            check_key(session, spine, (*key, PARTITION) if step.range else key, owner=spec.spine)
        frame = build_features(spec, manifest=manifest, tables=tables, window=step.window)
        written = store(session, step, frame)
        keep_label_counts(session, step, spec.name)
    return made_of(step, written)

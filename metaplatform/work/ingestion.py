"""Sources: what is staged of their files, stored as raw tables."""

from metaplatform.compute.chosen_rows import visible
from metaplatform.compute.policy.quarantine import beyond_share
from metaplatform.errors import DataError
from metaplatform.naming import PARTITION, stable_id, staged_ref
from metaplatform.specs.book.source_contents import EMPTY, SourceContents, closed_until
from metaplatform.specs.entities.ingestion import Source
from metaplatform.specs.records.ledger import Arrival
from metaplatform.work.builds import recorded_at_once
from metaplatform.work.contracts import approved_findings, contract_metadata
from metaplatform.work.staging import check_sums, staged_contents
from metaplatform.work.steps import PLAN_TAG, Made, Step
from metaplatform.work.stored_rows import made_of, store


@recorded_at_once
def ingest(step: Step) -> dict[str, Made]:
    """Store what is staged of a source (its partitions that the step makes only, if it has any).

    Files that have changed are read first, unless the loop has planned the step from those it has looked at.

    Raises:
        DataError: if more of it is in quarantine than the book lets pass, and nobody has approved that.
    """
    source, warehouse = step.manifest.sources[step.name], step.warehouse
    with warehouse.session() as session:
        contents = staged_contents(session, step, source, as_planned=PLAN_TAG in step.tags)
        _refuse_quarantined(step, source, contents)
        staged = session.table(staged_ref(step.ref))
        # The number of each row's file, which earlier releases did not keep.
        staged = staged.drop(PARTITION) if PARTITION in staged.columns else staged
        written = store(session, step, session.keep(visible(staged, source, now=step.now, window=step.window)))
    arrivals = [_arrival(step, source, contents, key, rows) for key, rows in written.by_partition.items()]
    step.ledger.append(*arrivals)
    return made_of(step, written, contract_metadata(contents))


def _arrival(step: Step, source: Source, contents: SourceContents, partition: str, rows: int) -> Arrival:
    fingerprint = _arrived(step, source, contents, partition, rows)
    return Arrival(
        arrival_id=stable_id("arrival", source.name, partition or None, fingerprint, step.run_id),
        source=source.name,
        partition=partition,
        fingerprint=fingerprint,
        rows=rows,
        quarantined=contents.quarantined,
        arrived_at=step.now,
        run_id=step.run_id,
    )


def _refuse_quarantined(step: Step, source: Source, contents: SourceContents) -> None:
    found = beyond_share(source, contents, approved_findings(step.ledger, source.name))
    hit = [each for each in found if each.partition in {"", *step.partitions}]
    if hit:
        told, named = map(str, hit), next((each.partition for each in hit if each.partition), step.partition)
        partition = f" --partition {named}" if named else ""
        raise DataError(
            owner=step.ref,
            culprit=f"{'; '.join(told)}, more than the share of {source.quarantine_share:g} that may be",
            fix=f"correct the files, or take them as they are: metaplatform approve {step.ref}{partition}",
        )


def _arrived(step: Step, source: Source, contents: SourceContents, partition: str, rows: int) -> str:
    """Return the fingerprint of what was stored, as the loop finds it in the contents; of a part, where not all is."""
    if not partition:
        if source.event_timestamp is None:
            check_sums(step.ref, read=contents.stored, stored=rows, quarantined=0)
        return contents.fingerprints(source, closed_until(step.manifest, step.now))[""]
    held, scheme = contents.partitions.get(partition), source.partitions
    expected = held.rows if held else 0
    if rows == expected:
        return held.fingerprint if held else EMPTY
    if scheme is not None and scheme.window(partition).end <= step.now:
        check_sums(step.ref, read=expected, stored=rows, quarantined=0)
    return stable_id("part", rows)

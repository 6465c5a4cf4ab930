"""What is held back until better data come or a person approves it, and that person's word."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from metaplatform.chapters import SOURCES
from metaplatform.compute.policy.quarantine import beyond_share
from metaplatform.errors import MetaplatformError
from metaplatform.naming import stable_id
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.source_contents import ContentRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.monitoring import GATE
from metaplatform.specs.records.ledger import Approval, Observation
from metaplatform.text.nearest import nearest_name


@dataclass(frozen=True)
class Held:
    """Something that is held back: of ``subject`` (a source or a prediction), in ``partition``, and why, in words."""

    subject: str
    partition: str
    finding: str
    why: str


def held_back(manifest: Manifest, warehouse: Warehouse) -> tuple[Held, ...]:
    """Return everything that waits for better data or for a person, in the order of the book."""
    approved = {kept.finding for kept in Ledger(warehouse).read(Approval)}
    found = (*_quarantined(manifest, warehouse), *_misshapen(manifest, warehouse))
    return tuple(each for each in found if each.finding not in approved)


def approve(
    manifest: Manifest, warehouse: Warehouse, subject: str, partition: str | None, *, reason: str, now: datetime
) -> tuple[Held, ...]:
    """Keep a person's approval of what is held back of ``subject`` (in one partition, if given); return that.

    Raises:
        MetaplatformError: if nothing of it is held back.
    """
    held = held_back(manifest, warehouse)
    chosen = tuple(
        each for each in held if each.subject == subject and (partition is None or each.partition in {"", partition})
    )
    if not chosen:
        known = [each.subject for each in held if each.subject != subject]
        near = nearest_name(subject, known)
        waiting = "; ".join(f"{each.subject}: {each.why}" for each in held) or "nothing is"
        raise MetaplatformError(
            owner=subject,
            culprit=f"nothing of it is held back{f' in {partition}' if partition else ''}",
            fix=f"did you mean '{near}'?" if near else f"held back is: {waiting}",
        )
    Ledger(warehouse).append(
        *(
            Approval(
                approval_id=stable_id("approval", each.subject, each.partition, each.finding),
                subject=each.subject,
                partition=each.partition,
                finding=each.finding,
                reason=reason,
                approved_at=now,
            )
            for each in chosen
        )
    )
    return chosen


def _quarantined(manifest: Manifest, warehouse: Warehouse) -> Iterator[Held]:
    records = ContentRecords(warehouse.root_path)
    for name, source in manifest.sources.items():
        contents = records.read(name)
        for each in beyond_share(source, contents) if contents else ():
            yield Held(SOURCES.ref(name), each.partition, each.finding, str(each))


def _misshapen(manifest: Manifest, warehouse: Warehouse) -> Iterator[Held]:
    """Yield scored partitions whose newest profile has failed; of several monitors each has a word."""
    newest: dict[tuple[str, str], Observation] = {}
    for seen in Ledger(warehouse).read(Observation, check=GATE, column=""):
        # Too few rows to judge lift nothing, as for the loop (``failed_profile``).
        if seen.status != "skipped":
            newest[seen.monitor, seen.partition] = seen
    for (monitor, partition), seen in newest.items():
        if seen.status == "failed" and monitor in manifest.monitors:
            prediction = manifest.monitors[monitor].prediction_ref
            where = f" of {partition}" if partition else ""
            yield Held(prediction, partition, seen.observation_id, f"the profile{where} failed: {seen.detail}")

"""Reading a source is an asset check, ``contract``: files are read, and their rows held against the book."""

from typing import Any

import dagster as dg

from metaplatform.compute.ingestion import REASON
from metaplatform.compute.policy.quarantine import Quarantined, beyond_share
from metaplatform.factories.asset_specs import asset_key, asset_metadata
from metaplatform.factories.signatures import with_signature
from metaplatform.factories.staging import SourceChangedError, staged_contents
from metaplatform.factories.steps import Step, step_of
from metaplatform.naming import FILE, op_name, quarantine_ref
from metaplatform.resources.clock import Clock
from metaplatform.resources.ledger import Ledger
from metaplatform.resources.session import Session
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.records import Approval
from metaplatform.specs.source_contents import SourceContents

CONTRACT = "contract"
_EXAMPLES = 3


def contract_key(source: str) -> dg.AssetCheckKey:
    """Return the key of the check that reads a source."""
    return dg.AssetCheckKey(asset_key(f"raw.{source}"), CONTRACT)


def contract_check(manifest: Manifest, name: str) -> dg.AssetChecksDefinition:
    """Return the check that reads a source's files once they have changed; it needs no run of the asset itself.

    It fails, and blocks what is downstream, where more rows are turned away than the book lets pass.
    """
    ref = f"raw.{name}"
    spec = dg.AssetCheckSpec(
        name=CONTRACT,
        asset=asset_key(ref),
        description=f"Files of {ref} are read; of their rows at most the declared share goes to quarantine.",
        blocking=True,
        metadata=asset_metadata(manifest, ref),
    )

    @dg.multi_asset_check(
        specs=[spec], name=f"{op_name(ref)}__{CONTRACT}", required_resource_keys={"warehouse", "clock"}
    )
    @with_signature
    def read(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        clock: Clock = context.resources.clock
        step = step_of(context, manifest, ref, clock, partitioned=False)
        return judge_contract(step, name, context.resources.warehouse, clock)

    return read


def judge_contract(step: Step, name: str, warehouse: Warehouse, clock: Clock) -> dg.AssetCheckResult:
    """Read a source if its files or its contract have changed, and say how its rows fit."""
    source = step.manifest.sources[name]
    try:
        with warehouse.session() as session:
            contents = staged_contents(session, step.manifest, source, warehouse, arrived=clock.now())
            found = beyond_share(source, contents, approved_findings(warehouse, name))
            examples = _examples(session, warehouse, step.ref, found) if contents.quarantined else []
    except SourceChangedError as error:
        return dg.AssetCheckResult(
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{error.culprit}: they are read again once they have settled",
        )
    return dg.AssetCheckResult(
        passed=not found,
        description=_told(found, source.quarantine_share),
        metadata={**contract_metadata(contents), "reasons": dg.MetadataValue.json(examples)},
    )


def contract_metadata(contents: SourceContents) -> dict[str, Any]:
    """Return what is shown of a reading: rows are stored or quarantined, lines that are not rows counted."""
    return {
        "rows_read": contents.read,
        "rows_stored": contents.stored,
        "quarantined_rows": contents.quarantined,
        "rejected_lines": contents.rejected,
        "files": dg.MetadataValue.json(list(contents.paths)),
    }


def approved_findings(warehouse: Warehouse, name: str) -> frozenset[str]:
    """Return the findings on a source's quarantine that a person has approved."""
    return frozenset(kept.finding for kept in Ledger(warehouse).read(Approval, subject=f"raw.{name}"))


def _told(found: tuple[Quarantined, ...], share: float) -> str:
    if not found:
        return ""
    more = f" and {len(found) - _EXAMPLES} more" if len(found) > _EXAMPLES else ""
    return f"{'; '.join(map(str, found[:_EXAMPLES]))}{more}: more than the share of {share:g} that may be"


def _examples(session: Session, warehouse: Warehouse, ref: str, found: tuple[Quarantined, ...]) -> list[str]:
    """Return some reasons of rows that were turned away: of the files found, if any are."""
    if not warehouse.exists(quarantine_ref(ref)):
        return []
    rows = session.table(quarantine_ref(ref))
    files = [each.file for each in found if each.file]
    if files and FILE in rows.columns:
        rows = rows.filter(rows[FILE].isin(files))
    reasons = rows.select(REASON).distinct().order_by(REASON).limit(_EXAMPLES)
    return [str(row[REASON]) for row in session.reader(reasons).read_all().to_pylist()]

"""Whether a source's files hold what the book says: its rows are stored or turned away, and how many may be."""

from dataclasses import dataclass, field
from typing import Any

from metaplatform.chapters import SOURCES
from metaplatform.compute.ingestion import REASON
from metaplatform.compute.policy.quarantine import Quarantined, beyond_share
from metaplatform.naming import FILE, quarantine_ref
from metaplatform.resources.engine.session import Session
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.source_contents import SourceContents
from metaplatform.specs.records.ledger import Approval
from metaplatform.work.staging import SourceChangedError, staged_contents
from metaplatform.work.steps import Metadata, Step

_EXAMPLES = 3


@dataclass(frozen=True)
class ContractVerdict:
    """Whether a source keeps its contract, and why not; not ``settled`` is one whose files change meanwhile."""

    passed: bool
    detail: str = ""
    settled: bool = True
    metadata: Metadata = field(default_factory=dict)


def judge_contract(step: Step) -> ContractVerdict:
    """Read a source if its files or its contract have changed, and say how its rows fit."""
    source = step.manifest.sources[step.name]
    try:
        with step.warehouse.session() as session:
            contents = staged_contents(session, step, source)
            found = beyond_share(source, contents, approved_findings(step.ledger, source.name))
            examples = _examples(session, step.warehouse, step.ref, found) if contents.quarantined else []
    except SourceChangedError as error:
        return ContractVerdict(False, f"{error.culprit}: they are read again once they have settled", settled=False)
    metadata = {**contract_metadata(contents), "reasons": examples}
    return ContractVerdict(not found, _told(found, source.quarantine_share), metadata=metadata)


def contract_metadata(contents: SourceContents) -> dict[str, Any]:
    """Return what is shown of a reading: rows are stored or quarantined, lines that are not rows counted."""
    return {
        "rows_read": contents.read,
        "rows_stored": contents.stored,
        "quarantined_rows": contents.quarantined,
        "rejected_lines": contents.rejected,
        "files": list(contents.paths),
    }


def approved_findings(ledger: Ledger, name: str) -> frozenset[str]:
    """Return the findings on a source's quarantine that a person has approved."""
    return frozenset(kept.finding for kept in ledger.read(Approval, subject=SOURCES.ref(name)))


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
    return [str(row[REASON]) for row in session.stream(reasons).read_all().to_pylist()]

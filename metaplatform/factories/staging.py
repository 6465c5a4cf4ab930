"""A source's files, read and checked once for each change of theirs, however many partitions come of them."""

from dataclasses import dataclass
from pathlib import Path

import ibis

from metaplatform.compute.ingestion import conform
from metaplatform.naming import quarantine_ref, stable_id, staged_ref
from metaplatform.resources.session import Session
from metaplatform.resources.source_files import find_files, fingerprint
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.ingestion import FileSource
from metaplatform.specs.manifest import Manifest

_FINGERPRINT = "fingerprint"
_QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Staged:
    """The accepted rows of a source's files; ``fingerprint`` tells the files' content and the contract apart."""

    rows: ibis.Table
    fingerprint: str
    paths: tuple[Path, ...]
    quarantined: int


def files_fingerprint(manifest: Manifest, source: FileSource) -> str:
    """Return what changes when the source must be read again: its files, or what the book says of them."""
    files = fingerprint(find_files(source, manifest.root))
    return stable_id(files, manifest.spec_hash(f"raw.{source.name}"))


def stage(session: Session, manifest: Manifest, source: FileSource, warehouse: Warehouse) -> Staged:
    """Return the source's accepted rows: as staged, or read anew if files or contract have changed since.

    Rows turned away, and lines that are no rows, are kept beside the raw table with their reasons.

    Raises:
        DataError: if files or declared columns are missing or cannot be read.
    """
    ref = f"raw.{source.name}"
    mark, paths = files_fingerprint(manifest, source), find_files(source, manifest.root)
    known = _newest_commit(warehouse, staged_ref(ref))
    if known.get(_FINGERPRINT) != mark:
        known = _read(session, manifest, source, warehouse, mark)
    return Staged(session.table(staged_ref(ref)), mark, paths, int(known[_QUARANTINED]))


def _newest_commit(warehouse: Warehouse, ref: str) -> dict[str, str]:
    history = warehouse.history(ref)
    return {name: str(value) for name, value in history[0].items()} if history else {}


def _read(session: Session, manifest: Manifest, source: FileSource, warehouse: Warehouse, mark: str) -> dict[str, str]:
    ref = f"raw.{source.name}"
    files = session.read_files(source, manifest.root)
    conformed = conform(files.rows, source)
    quarantined = _keep(session, warehouse, quarantine_ref(ref), conformed.quarantined, mark)
    if files.rejects is not None:
        quarantined += _keep(session, warehouse, f"{quarantine_ref(ref)}_lines", files.rejects, mark)
    commit = {_FINGERPRINT: mark, _QUARANTINED: str(quarantined)}
    warehouse.replace(staged_ref(ref), session.reader(conformed.accepted), partition=None, metadata=commit)
    return commit


def _keep(session: Session, warehouse: Warehouse, ref: str, rows: ibis.Table, mark: str) -> int:
    """Keep rows that were turned away; return how many. Without any, and none from before, no table is made."""
    found = session.materialize_temp(rows)
    count = int(session.reader(found.aggregate(rows=found.count())).read_all()["rows"][0].as_py())
    if count or warehouse.exists(ref):
        warehouse.replace(ref, session.reader(found), partition=None, metadata={_FINGERPRINT: mark})
    return count

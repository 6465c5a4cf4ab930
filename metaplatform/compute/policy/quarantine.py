"""How much of what a source holds was turned away, and whether that is more than the book lets pass."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from metaplatform.naming import stable_id
from metaplatform.specs.ingestion import FileSource
from metaplatform.specs.source_contents import SourceContents


@dataclass(frozen=True)
class Quarantined:
    """Rows of one partition that were turned away, beyond the share that may be; ``""`` for what has no partition.

    ``finding`` tells this finding from any other: what a person approves of it holds until it changes.
    """

    partition: str
    rows: int
    of: int
    finding: str

    def __str__(self) -> str:
        """Say it in words."""
        where = f" of {self.partition}" if self.partition else ""
        return f"{self.rows} of {self.of} rows{where} are in quarantine"


def beyond_share(
    source: FileSource, contents: SourceContents, approved: Collection[str] = ()
) -> tuple[Quarantined, ...]:
    """Return what of a source is turned away beyond its ``quarantine_share``, without the findings approved.

    Copies of stored rows, and rows before the first partition, do not count: files overlap, and the book leaves history
    out on purpose. Those whose partition cannot be told,
    and lines that are no rows, are held against all there are.
    """
    found = tuple(_findings(source, contents))
    return tuple(each for each in found if each.finding not in approved)


def _findings(source: FileSource, contents: SourceContents) -> Iterator[Quarantined]:
    placed = {key: held for key, held in contents.partitions.items() if held.quarantined}
    homeless = contents.quarantined + contents.rejected - contents.excused
    homeless -= sum(held.quarantined for held in placed.values())
    everything = contents.read + contents.rejected - contents.excused
    if homeless > source.quarantine_share * everything:
        finding = stable_id("quarantine", source.name, homeless)
        yield Quarantined("", homeless, everything, finding)
    for key, held in placed.items():
        of = held.rows + held.quarantined
        if held.quarantined > source.quarantine_share * of:
            finding = stable_id("quarantine", source.name, key, held.quarantined, held.fingerprint)
            yield Quarantined(key, held.quarantined, of, finding)

"""How much of what a source holds was turned away, and whether that is more than the book lets pass."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from metaplatform.naming import stable_id
from metaplatform.specs.book.source_contents import SourceContents
from metaplatform.specs.entities.ingestion import Source

LEAST_FAULTY = 10
"""Rows that a file turns away at least, to be judged on its own: one bad row of two is a slip, not a bad file."""


@dataclass(frozen=True)
class Quarantined:
    """Rows of one partition that were turned away, beyond the share that may be; ``""`` for what has no partition.

    ``file`` names the file where it alone is beyond the share: of the partition's rows, or of all, few enough are.
    ``finding`` tells this finding from any other: what a person approves of it holds until it changes.
    """

    partition: str
    rows: int
    of: int
    finding: str
    file: str = ""

    def __str__(self) -> str:
        """Say it in words."""
        place = self.file or self.partition
        where = f" of {place}" if place else ""
        return f"{self.rows} of {self.of} rows{where} are in quarantine"


def beyond_share(source: Source, contents: SourceContents, approved: Collection[str] = ()) -> tuple[Quarantined, ...]:
    """Return what of a source is turned away beyond its ``quarantine_share``, without the findings approved.

    Copies of stored rows, and rows before the first partition, do not count: files overlap, and the book leaves history
    out on purpose. Those whose partition cannot be told,
    and lines that are not rows, are held against all there are. A file with :data:`LEAST_FAULTY` such rows at least is
    held against its own rows too: a small one beside a long history would count for nothing. It holds back the first
    partition that one of them belongs to, unless that is held back as it is.
    """
    found = tuple(_findings(source, contents))
    held = {each.partition for each in found}
    files = (each for each in _files(source, contents) if each.partition not in held)
    return tuple(each for each in (*found, *files) if each.finding not in approved)


def _files(source: Source, contents: SourceContents) -> Iterator[Quarantined]:
    for name, held in contents.faulty.items():
        if held.quarantined >= LEAST_FAULTY and held.quarantined > source.quarantine_share * held.rows:
            finding = stable_id("quarantine", source.name, name, held.quarantined, held.rows, held.content)
            yield Quarantined(held.partition, held.quarantined, held.rows, finding, name)


def _findings(source: Source, contents: SourceContents) -> Iterator[Quarantined]:
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

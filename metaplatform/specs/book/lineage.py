"""One hash for all that decides a result of the book, up to the sources."""

from collections.abc import Callable, Mapping

from metaplatform.naming import stable_id
from metaplatform.specs.fields.reads import Reads


def lineage_hash(spec_hash: str, inputs: Mapping[str, str]) -> str:
    """Return one hash of an entity's own spec and of the lineage of all it is computed from."""
    return stable_id(spec_hash, *(f"{ref}={inputs[ref]}" for ref in sorted(inputs)))


class Lineage:
    """The lineage that everything in a book would have, were all of it made from this book."""

    def __init__(self, reads: Callable[[str], Reads], spec_hash: Callable[[str], str]) -> None:
        """Know nothing yet; ``reads`` tells what a reference is computed from, ``spec_hash`` the hash of its own."""
        self._reads_of = reads
        self._spec_hash = spec_hash
        self._known: dict[str, str] = {}
        self._inputs: dict[str, dict[str, str]] = {}
        self._reach: dict[str, Reads] = {}

    def of(self, ref: str) -> str:
        """Return the lineage hash of ``ref``; a sound book has no cycles."""
        pending = [ref]
        while pending:
            current = pending[-1]
            wanted = [other for other in self._reads(current) if other not in self._known]
            if wanted:
                pending.extend(wanted)
                continue
            pending.pop()
            inputs = {other: self._known[other] for other in self._reads(current)}
            self._inputs[current] = inputs
            self._known[current] = lineage_hash(self._spec_hash(current), inputs)
        return self._known[ref]

    def inputs(self, ref: str) -> Mapping[str, str]:
        """Return the lineage hash of each input of ``ref``."""
        self.of(ref)
        return self._inputs[ref]

    def _reads(self, ref: str) -> Reads:
        if ref not in self._reach:
            self._reach[ref] = self._reads_of(ref)
        return self._reach[ref]

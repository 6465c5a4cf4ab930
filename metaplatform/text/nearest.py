"""The valid name closest to a misspelt one."""

from collections.abc import Iterable
from difflib import get_close_matches

_CUTOFF = 0.6
MOST_NEAREST = 200
"""Faults of one kind for which a nearest name is looked for: each look takes milliseconds among thousands of names."""


def nearest_name(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like ``name``, compared without case, or None if none is like it."""
    by_folded = {candidate.casefold(): candidate for candidate in sorted(candidates)}
    found = get_close_matches(name.casefold(), by_folded, n=1, cutoff=_CUTOFF)
    return by_folded[found[0]] if found else None

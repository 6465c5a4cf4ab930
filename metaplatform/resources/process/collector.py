"""The garbage collector in processes that are the platform's own."""

import gc

__all__ = ["collect_seldom"]

_COLLECT_AFTER = 50_000
"""New objects between two rounds of the garbage collector."""


def collect_seldom() -> None:
    """Collect after many new objects: half a million stay once the libraries are imported, and each is looked at.

    With Python's default, importing them and replaying take a sixth longer.
    """
    gc.set_threshold(_COLLECT_AFTER)

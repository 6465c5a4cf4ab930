"""The chapters of the book, all that is true of each, and references into them (``raw.flights``)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from metaplatform.naming import ref_prefix

Action = Literal["rebuild", "retrain", "rescore", "rewrite"]


@dataclass(frozen=True)
class Chapter:
    """One chapter of the book, by its ``name`` there; ``prefix`` begins the references into it.

    The prefix is also that of its asset keys, their group in Dagster, and the folder below the storage root.
    ``action`` is what a plan does to make an entity of it again, None where it makes nothing. What is ``timed`` may
    have a key and an event timestamp of its own, what is ``stored`` can be read by SQL, and a reaction can have made
    what is ``on_demand``. What is an ``input`` is there for others in the book to read. What is not an ``asset`` is
    neither made nor judged by runs. ``kinds`` are those by which Dagster shows its assets, where their entities do
    not tell.
    """

    name: str
    prefix: str
    action: Action | None = None
    timed: bool = False
    stored: bool = False
    on_demand: bool = False
    input: bool = False
    asset: bool = True
    kinds: tuple[str, ...] = ()

    def ref(self, name: str) -> str:
        """Return the reference of an entity: ``flights`` → ``raw.flights``."""
        return f"{self.prefix}.{name}"

    def holds(self, ref: str) -> bool:
        """Tell whether a reference is one into this chapter."""
        return ref.startswith(f"{self.prefix}.")


SOURCES = Chapter(
    "sources", "raw", "rebuild", timed=True, stored=True, on_demand=True, input=True, kinds=("deltalake",)
)
TABLES = Chapter(
    "tables", "tables", "rebuild", timed=True, stored=True, on_demand=True, input=True, kinds=("sql", "deltalake")
)
FEATURE_SETS = Chapter("feature_sets", "features", "rebuild", stored=True, input=True, kinds=("duckdb", "deltalake"))
MODELS = Chapter("models", "models", "retrain", input=True)
PREDICTIONS = Chapter("predictions", "predictions", "rescore", stored=True)
OUTPUTS = Chapter("outputs", "outputs", "rewrite", stored=True, on_demand=True)
MONITORS = Chapter("monitors", "monitoring", kinds=("evidently", "deltalake"))
REACTIONS = Chapter("reactions", "reactions", kinds=("notification",))
ALERTS = Chapter("alerts", "alerts", asset=False)
CHAPTERS: Mapping[str, Chapter] = {
    chapter.name: chapter
    for chapter in (SOURCES, TABLES, FEATURE_SETS, MODELS, PREDICTIONS, OUTPUTS, MONITORS, REACTIONS, ALERTS)
}
"""Every chapter by its name, in the order of the road."""
BY_PREFIX: Mapping[str, Chapter] = {chapter.prefix: chapter for chapter in CHAPTERS.values()}
"""Every chapter by the prefix of references into it."""
ASSETS = tuple(chapter.prefix for chapter in CHAPTERS.values() if chapter.asset)
"""Prefixes of all that runs make or judge: who is told of troubles is not an asset."""
TIMED = tuple(chapter.prefix for chapter in CHAPTERS.values() if chapter.timed)
"""Prefixes of tables whose rows may have a key and an event timestamp of their own."""
STORED = tuple(chapter.prefix for chapter in CHAPTERS.values() if chapter.stored)
"""Prefixes of what SQL can read."""
MATERIALIZED = tuple(chapter.prefix for chapter in CHAPTERS.values() if chapter.on_demand)
"""Prefixes of what a reaction can have made."""


def chapter_of(ref: str) -> Chapter:
    """Return the chapter that a reference is one into.

    Raises:
        KeyError: if no chapter has its prefix.
    """
    return BY_PREFIX[ref_prefix(ref)]

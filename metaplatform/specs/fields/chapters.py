"""The chapters of the book, and what references into them look like."""

CHAPTERS: dict[str, str] = {
    "sources": "raw",
    "tables": "tables",
    "feature_sets": "features",
    "models": "models",
    "predictions": "predictions",
    "outputs": "outputs",
    "monitors": "monitoring",
    "reactions": "reactions",
    "alerts": "alerts",
}
"""Chapter of the book → prefix of its references (asset key prefix, Dagster group, storage folder)."""
ASSETS = tuple(prefix for chapter, prefix in CHAPTERS.items() if chapter != "alerts")
"""Prefixes of all that runs make or judge: who is told of troubles is not an asset."""
TIMED = ("raw", "tables")
"""Prefixes of tables whose rows may have a key and an event timestamp of their own."""
STORED = ("raw", "tables", "features", "predictions", "outputs")
"""Prefixes of what SQL can read."""
MATERIALIZED = ("raw", "tables", "outputs")
"""Prefixes of what a reaction can have made."""

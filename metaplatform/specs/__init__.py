"""Typed metadata: one module per chapter of the book. No Dagster, no data or ML library."""

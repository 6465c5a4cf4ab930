"""Typed metadata: one module a chapter of the book. No Dagster, no data or ML library."""

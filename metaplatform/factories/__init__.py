"""Specs become Dagster objects; nothing here is worth testing on its own."""

"""Walks history through the same assets, checks, sensors and policies that run live."""

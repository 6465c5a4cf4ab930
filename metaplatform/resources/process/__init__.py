"""The process itself: clock, Dagster's home, code server, runs."""

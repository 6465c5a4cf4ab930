"""The engine that computes: DuckDB, its connections, sessions and threads."""

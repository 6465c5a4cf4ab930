"""Delta tables: log, files, statistics, commits."""

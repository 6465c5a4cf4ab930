"""Values in, values out: no Dagster, no IO."""

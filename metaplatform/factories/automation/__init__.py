"""The loop in Dagster: sensors and schedules that turn plans into run requests."""

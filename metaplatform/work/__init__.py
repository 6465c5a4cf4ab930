"""What a step does, without Dagster: read, build, train, score, judge, export, react."""

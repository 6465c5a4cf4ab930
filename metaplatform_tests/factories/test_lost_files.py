"""A file that somebody has deleted is missed: the plan tells it, and the loop makes it again, that file alone."""

from pathlib import Path

import pandas as pd

from metaplatform_tests.small_project import SmallProject, moment

BOOK = """
sources:
  orders:
    kind: csv
    path: data/*.csv
    columns: {id: bigint, at: timestamptz}
    event_timestamp: at
    partitions: {every: day, start: 2024-01-01}
tables:
  total: {sql: select count(*) as orders from raw.orders}
outputs:
  daily: {kind: csv, table: raw.orders}
  total_file: {kind: parquet, table: tables.total}
  page: {kind: report, title: Total, sql: select * from tables.total}
  views: {kind: views, tables: [raw.orders, tables.total]}
"""
NOW = moment("2024-01-05")


def test_a_deleted_file_is_told_by_the_plan_and_made_again_by_the_loop(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, BOOK)
    for day in ("2024-01-01", "2024-01-02"):
        project.put(f"data/{day}.csv", pd.DataFrame({"id": [1], "at": [f"{day}T12:00:00Z"]}))
    root = project.deployment.root
    files = {
        "outputs.daily": root / "exports/daily/2024-01-01.csv",
        "outputs.total_file": root / "exports/total_file/all.parquet",
        "outputs.page": root / "reports/page/all.html",
        "outputs.views": root / "warehouse.duckdb",
    }
    with project.at_work():
        project.play(NOW)
        assert project.stale() == {}
        for _ in range(2):
            for file in files.values():
                file.unlink()
            kept = (root / "exports/daily/2024-01-02.csv").stat().st_mtime_ns
            assert project.stale() == {ref: ("2024-01-01",) if ref == "outputs.daily" else ("",) for ref in files}
            told = " | ".join(project.play(NOW))
            assert "the file for 2024-01-01 of outputs.daily is missing" in told
            assert "the file of outputs.page, outputs.total_file, outputs.views is missing" in told
            assert all(file.exists() for file in files.values())
            assert (root / "exports/daily/2024-01-02.csv").stat().st_mtime_ns == kept
            assert project.stale() == {}
            assert project.play(NOW) == []

"""What is found sound loads into Dagster and runs: every book, drawn at random, over rows of a small file."""

import tempfile
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, assume, given, settings

from metaplatform.composition import definitions_of
from metaplatform.compute.policy.plans import RunPlan
from metaplatform.errors import MetaplatformError
from metaplatform.factories.automation.run_requests import run_request
from metaplatform_tests.small_project import SmallProject, moment
from metaplatform_tests.specs.sound_books import TYPES, Body, Columns, as_yaml, sound_books

NOW = moment("2024-06-01")
VALUES = {
    "number": "(1 + row % 3)",
    "text": "case row % 2 when 0 then 'a' else 'xyz' end",
    "boolean": "(row % 2 = 0)",
    "moment": "timestamp '2024-03-01 10:15:00' + to_hours(row * 7)",
}


def write_rows(source: Body, name: str, folder: Path) -> None:
    """Write a file of six rows as the source declares them: unique ids, moments of two days."""
    kinds = {kind: each for each, kinds in TYPES.items() for kind in kinds}
    columns = [
        f"cast({'row' if column == 'id' else VALUES[kinds[kind]]} as {kind}) as {Columns({}).written(column)}"
        for column, kind in source["columns"].items()
    ]
    target = folder / "data" / name / f"rows.{source['kind']}"
    target.parent.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        options = {"csv": "format csv, header", "parquet": "format parquet", "json": "format json"}[source["kind"]]
        rows = f"select {', '.join(columns)} from range(6) as rows(row)"  # noqa: S608
        connection.execute(f"copy ({rows}) to '{target}' ({options})")


@given(sound_books())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_sound_book_runs_to_its_end_and_then_rests(book: dict[str, dict[str, Body]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        project = SmallProject(Path(root, "project"), as_yaml(book))
        for name, source in book["sources"].items():
            write_rows(source, name, project.folder)
        with project.at_work():
            try:
                project.play(NOW)
            except MetaplatformError as error:
                # A book may look up by a column whose values repeat in these rows: a fault of theirs, not of the book.
                assume("a lookup needs one" not in str(error))
                raise
            assert project.play(NOW) == []
        for name in book["sources"]:
            assert sum(state.rows for state in project.warehouse.partitions(f"raw.{name}").values()) == 6, name
        for ref in (*(f"tables.{name}" for name in book.get("tables", {})), *_feature_sets(book)):
            assert project.warehouse.exists(ref), ref
        assert project.stale() == {}


def _feature_sets(book: dict[str, dict[str, Body]]) -> list[str]:
    return [f"features.{name}" for name in book.get("feature_sets", {})]


LINES = """
sources:
  orders:
    kind: csv
    path: orders/*.csv
    columns: {id: bigint, at: timestamptz, amount: double, returned: boolean}
    key: [id]
    event_timestamp: at
    partitions: {every: day, start: 2024-01-01}
    outcomes: {columns: [returned], delay: 2 days}
  visits: {kind: csv, path: visits/*.csv, columns: {at: timestamptz}, event_timestamp: at,
           partitions: {every: day, start: 2024-02-01}}
  budgets: {kind: csv, path: budgets/*.csv, columns: {at: timestamptz}, event_timestamp: at,
            partitions: {every: month, start: 2024-02}}
feature_sets:
  facts: {spine: raw.orders, features: [{kind: expression, columns: {size: amount}}]}
models:
  returns:
    kind: xgboost
    task: binary
    feature_set: facts
    target: {sql: returned}
    training: {window: 30 days, holdout: 5 days}
    promotion: {metric: roc_auc}
predictions:
  likely: {model: returns}
monitors:
  realized: {kind: performance, prediction: likely, metrics: {roc_auc: {min: 0.6}}}
  drifted: {kind: drift, prediction: likely}
"""


def test_checks_alone_run_on_a_partition_whatever_else_has_partitions(tmp_path: Path) -> None:
    project = SmallProject(tmp_path, LINES)
    definitions = definitions_of(project.manifest, project.deployment)
    job = definitions.get_repository_def().get_implicit_global_asset_job_def()
    for monitor in ("realized", "drifted"):
        plan = RunPlan(key=monitor, refs=(), monitors=(monitor,), partition="2024-01-05", reason="labels are mature")
        request = run_request(project.manifest, plan, NOW)
        if request.partition_key:  # as Dagster does with what a sensor returns
            request = request.with_resolved_tags_and_config(job, [], None)
        assert request.tags["dagster/partition"] == "2024-01-05"

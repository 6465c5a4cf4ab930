"""The default book as Dagster sees it."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from metaplatform.composition import definitions_of, load_definitions
from metaplatform.errors import BookError
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book
from metaplatform_tests.scenario import BOOK, write_project

PROJECT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    deployment = Deployment(book=PROJECT / "metadata", root=PROJECT / ".metaplatform")
    return definitions_of(load_book(PROJECT / "metadata"), deployment).get_repository_def()


def test_every_entity_is_an_asset_under_its_chapters_prefix_and_group(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    keys = sorted("/".join(key.path) for key in graph.get_all_asset_keys())
    assert keys == [
        "features/flight_features",
        "models/late_arrival",
        "monitoring/late_flights_drift",
        "monitoring/late_flights_performance",
        "outputs/late_flights_file",
        "outputs/late_flights_views",
        "outputs/operations_report",
        "predictions/late_flights",
        "raw/airlines",
        "raw/airports",
        "raw/flights",
        "raw/planes",
        "raw/weather",
        "reactions/late_flights_alert",
    ]
    assert all(graph.get(key).group_name == key.path[0] for key in graph.get_all_asset_keys())


def test_lineage_follows_the_books_references(repository: dg.RepositoryDefinition) -> None:
    parents = repository.asset_graph.get(dg.AssetKey(["features", "flight_features"])).parent_keys
    assert {key.path[-1] for key in parents} == {"flights", "weather", "planes", "airports"}


def test_partitions_flow_from_the_source_to_what_is_made_of_it(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    partitioned = {"/".join(key.path) for key in graph.get_all_asset_keys() if graph.get(key).partitions_def}
    assert "predictions/late_flights" in partitioned
    assert not {"raw/weather", "models/late_arrival", "outputs/late_flights_views"} & partitioned
    first = graph.get(dg.AssetKey(["raw", "flights"])).partitions_def
    assert first is not None
    assert first.get_partition_keys()[:2] == ["2013-01", "2013-02"]


def test_monitors_check_the_prediction_and_each_source_has_a_check_that_reads_it(
    repository: dg.RepositoryDefinition,
) -> None:
    checks = {(key.asset_key.path[-1], key.name) for key in repository.asset_graph.asset_check_keys}
    assert checks == {
        ("late_flights", "late_flights_drift_profile"),
        ("late_flights", "late_flights_drift_data_drift"),
        ("late_flights", "late_flights_drift_prediction_drift"),
        ("late_flights", "late_flights_performance_roc_auc"),
        ("late_flights", "late_flights_performance_log_loss"),
        *((name, "contract") for name in ("airlines", "airports", "flights", "planes", "weather")),
    }


def test_each_asset_leads_to_its_line_of_the_book(repository: dg.RepositoryDefinition) -> None:
    node = repository.asset_graph.get(dg.AssetKey(["models", "late_arrival"]))
    references = node.metadata["dagster/code_references"].code_references
    path, line = Path(references[0].file_path), references[0].line_number
    assert path.read_text(encoding="utf-8").splitlines()[line - 1].strip() == "late_arrival:"
    assert node.owners == ["team:data-science"]


def test_the_schedule_of_the_book_and_the_sensors_of_the_loop_are_there_and_running(
    repository: dg.RepositoryDefinition,
) -> None:
    assert sorted(schedule.name for schedule in repository.schedule_defs) == [
        "maintenance",
        "retrain_late_arrival",
    ]
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "arrivals",
        "messages",
        "performance",
        "reactions",
        "retraining",
        "scoring",
    }
    assert all(sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in repository.sensor_defs)


def test_definitions_load_without_the_heavy_libraries() -> None:
    code = (
        "import sys, metaplatform.definitions as d; d.defs.get_repository_def().load_all_definitions();"
        "import json; print(json.dumps(sorted({'evidently', 'mlflow', 'xgboost', 'pandas'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("arguments", [("check", "defs"), ("list", "defs", "--json")])
def test_dg_understands_the_project(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([BIN / "dg", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if "list" in arguments:
        assert "late_flights" in done.stdout


def test_a_broken_book_is_reported_before_dagster_builds_anything(tmp_path: Path) -> None:
    write_project(tmp_path, book=BOOK.replace("spine: raw.orders", "spine: raw.ordres"))
    with pytest.raises(BookError, match=r"shop\.yaml:\d+") as caught:
        load_definitions({"METAPLATFORM_BOOK": str(tmp_path / "metadata")}, tmp_path)
    assert any(issue.nearest == "raw.orders" for issue in caught.value.issues)


def test_only_what_decides_the_result_changes_the_code_version(tmp_path: Path) -> None:
    write_project(tmp_path / "one")
    write_project(
        tmp_path / "two",
        book=BOOK.replace("    spine: raw.orders", "    description: new words\n    spine: raw.orders"),
    )
    write_project(tmp_path / "three", book=BOOK.replace("window: 14 days", "window: 15 days"))
    hashes = [
        load_book(tmp_path / name / "metadata").spec_hash("features.order_features") for name in ("one", "two", "three")
    ]
    assert hashes[0] == hashes[1] != hashes[2]

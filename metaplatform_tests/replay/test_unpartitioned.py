"""A book without partitions, of another task and with awkward names, is walked from its first row to its last."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import Arrival, Decision
from metaplatform_tests.processes import python

ROWS, DAYS = 2_000, 20
BOOK = """\
sources:
  trips:
    kind: parquet
    path: data/trips.parquet
    key: [Trip ID]
    event_timestamp: Start time
    outcomes: {columns: [Preis €], delay: 2 hours}
feature_sets:
  trip_features:
    spine: raw.trips
    features:
      - kind: expression
        columns: {km: '"Entfernung (km)"', zone: zone, nothing: never_known}
models:
  price:
    kind: xgboost
    task: regression
    feature_set: trip_features
    target: {sql: '"Preis €"'}
    training: {window: 8 days, holdout: 3 days, min_rows: 100, rounds: 20}
    promotion: {metric: rmse, min_rows: 100}
    retrain: {schedule: "0 5 * * 1", cooldown: 4 days}
predictions:
  prices: {model: price, keep: [zone]}
  prices_by_the_first: {model: price, version: 1}
monitors:
  price_errors: {kind: performance, prediction: prices, metrics: {rmse: {max: 5}}}
"""


def write_trips(path: Path) -> None:
    random = np.random.default_rng(3)
    seconds = np.sort(random.integers(0, DAYS * 86_400, ROWS))
    distance = random.gamma(2, 5, ROWS)
    table = {
        "Trip ID": np.arange(ROWS),
        "Start time": np.datetime64("2025-01-01T00:00:00", "us") + seconds.astype("timedelta64[s]"),
        "Entfernung (km)": pa.array(distance, mask=random.random(ROWS) < 0.1),
        "zone": random.choice(["A", "B", "O'Hare"], ROWS),
        "never_known": pa.nulls(ROWS, pa.float64()),
        "Preis €": 3 + 2.1 * distance + random.normal(0, 1, ROWS),
    }
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(table), path)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("trips")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "trips.yaml").write_text(BOOK, encoding="utf-8")
    write_trips(folder / "data" / "trips.parquet")
    root = folder / "storage"
    options = ("--root", root, "--json", folder / "result.json")
    done = python("-m", "metaplatform", "replay", "--book", folder / "metadata", *options)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "better in" in done.stdout
    assert "INFO mlflow" not in done.stderr
    assert "BetaWarning" not in done.stderr
    return root, json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_history_is_walked_from_the_first_row_to_the_last_and_not_from_the_beginning_of_time(
    replayed: tuple[Path, dict[str, Any]],
) -> None:
    arrivals = Ledger(Warehouse(root=str(replayed[0]))).read(Arrival, source="trips")
    # As live: what a day brought arrives when the day has ended, and nothing arrives twice.
    ended = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day + 1) for day in range(DAYS)]
    assert [arrival.arrived_at for arrival in arrivals] == ended
    assert arrivals[-1].rows == ROWS


def test_a_regression_without_partitions_is_trained_scored_and_judged(replayed: tuple[Path, dict[str, Any]]) -> None:
    root, result = replayed
    row = next(row for row in result["rows"] if row["prediction"] == "prices")
    registry = ModelRegistry(tracking_uri=f"sqlite:///{root}/mlflow.db", artifact_root=str(root / "mlartifacts"))
    learnt_until = registry.version("price", 1).trained_until.replace(tzinfo=None)
    starts = pq.read_table(root.parent / "data" / "trips.parquet")["Start time"].to_pylist()
    # What every champion has learnt from has no prediction.
    expected = sum(start >= learnt_until for start in starts)
    assert 0 < expected < ROWS
    assert (row["partition"], row["rows"], row["metric"]) == ("", expected, "rmse")
    assert 0 < row["live"] < 8
    assert Ledger(Warehouse(root=str(root))).read(Decision, outcome="retrain")


def test_the_first_version_is_judged_on_the_rows_that_the_live_one_is_judged_on(
    replayed: tuple[Path, dict[str, Any]],
) -> None:
    row = next(row for row in replayed[1]["rows"] if row["prediction"] == "prices_by_the_first")
    assert row["champion"] == 1
    assert row["live"] == pytest.approx(row["first"])


def test_a_kept_column_keeps_its_own_values_where_a_feature_has_its_name(replayed: tuple[Path, dict[str, Any]]) -> None:
    with Warehouse(root=str(replayed[0])).session() as session:
        table = session.table("predictions.prices")
        zones = session.stream(table.select("zone").distinct()).read_all()["zone"].to_pylist()
    assert sorted(zones) == ["A", "B", "O'Hare"]

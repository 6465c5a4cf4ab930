"""Data of any time a table can hold walk the whole road: before 1970, before nanoseconds, and across both."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaplatform.resources.models.mlflow_logging import point_in_time
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import Action, Observation
from metaplatform_tests.processes import python
from metaplatform_tests.scenario import BOOK

MONTHS, ORDERS_A_MONTH = 3, 400
STARTS = ["1950-01", "1600-01"]


def write_book(folder: Path, start: str) -> Path:
    """Write the book of the shop, with features of kinds of time, for data that begin in ``start``."""
    book = BOOK.replace("start: 2024-01", f"start: {start}").replace("min_rows: 500", "min_rows: 200")
    book = book.replace("isodow(ordered_at)}", "isodow(ordered_at), moment: ordered_at, day: ordered_at::date}")
    book = book.replace("cooldown: 20 days", "cooldown: 200 days")
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "shop.yaml").write_text(book, encoding="utf-8")
    return folder / "metadata"


def write_orders(folder: Path, start: str) -> None:
    (folder / "data" / "orders").mkdir(parents=True)
    (folder / "data" / "customers.csv").write_text("customer,country,age\nc1,DE,30\nc2,NO,40\n", encoding="utf-8")
    random = np.random.default_rng(5)
    for number in range(MONTHS):
        month = np.datetime64(start, "M") + number
        lines = ["order_id,customer,ordered_at,amount,channel,returned"]
        for index in range(ORDERS_A_MONTH):
            moment = month.astype("datetime64[us]") + np.timedelta64(int(random.integers(0, 28 * 86_400)), "s")
            amount = random.gamma(4, 25) * (1 + number / 2)
            cells = (number * ORDERS_A_MONTH + index, f"c{index % 3}", moment, f"{amount:.2f}")
            channel, back = ("web", "app", "shop")[index % 3], str(bool(random.random() < amount / 200)).lower()
            lines.append(",".join(map(str, (*cells, channel, back))))
        (folder / "data" / "orders" / f"{month}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module", params=STARTS)
def replayed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("old")
    book = write_book(folder, request.param)
    write_orders(folder, request.param)
    options = ("--root", folder / "storage", "--json", folder / "result.json")
    done = python("-m", "metaplatform", "replay", "--book", book, "--reactions", *options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return folder / "storage", json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_every_stage_has_done_its_work(replayed: tuple[Path, dict[str, Any]]):
    root, result = replayed
    warehouse = Warehouse(root=str(root))
    assert warehouse.row_count("raw.orders") == MONTHS * ORDERS_A_MONTH
    assert warehouse.row_count("features.order_features") == MONTHS * ORDERS_A_MONTH
    assert warehouse.row_count("predictions.order_returns")
    seen = Ledger(warehouse).read(Observation)
    assert {each.monitor for each in seen if each.status != "skipped"} == {"returns_drift", "returns_performance"}
    assert list((root / "exports" / "returns_file").glob("*.csv"))
    assert list((root / "reports" / "returns_report").glob("*.html"))
    assert Ledger(warehouse).read(Action)
    assert [row["rows"] for row in result["rows"]] == [ORDERS_A_MONTH]


def test_realized_metrics_stand_in_mlflow_in_the_order_of_time(replayed: tuple[Path, dict[str, Any]]):
    with closing(sqlite3.connect(replayed[0] / "mlflow.db")) as database:
        points = database.execute("select timestamp, step from metrics where key = 'order_returns.roc_auc'").fetchall()
    assert points
    assert all(timestamp == 0 and step < -24 * 365 * 19 for timestamp, step in points)


def test_points_in_time_keep_their_order_and_are_themselves_from_1970_on():
    moments = [datetime(year, 1, 1, tzinfo=UTC) for year in (1, 1600, 1950, 1969, 1970, 2024, 9999)]
    points = [point_in_time(moment) for moment in moments]
    assert points == sorted(points, key=lambda point: (point["step"], point["timestamp"]))
    assert len({tuple(point.items()) for point in points}) == len(points)
    assert points[-2] == {"timestamp": 1_704_067_200_000, "step": 0}

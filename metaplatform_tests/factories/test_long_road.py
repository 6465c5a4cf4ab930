"""Three million rows pass every stage, in bounded time and memory, and none is lost; outside readers count them."""

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from metaplatform_tests.factories.long_road import BOOK, CUSTOMERS, PARTITION, ROWS, STEP_MS

LIMIT_SECONDS, LIMIT_MB = 600, 4_000
Numbers = npt.NDArray[np.int64]
START = np.datetime64("2024-01-01T00:00:00.000", "ms")
DAY_MS = 86_400_000


def amounts(orders: Numbers) -> npt.NDArray[np.float64]:
    """Return amounts in quarters, whose sums are exact in any order."""
    found: npt.NDArray[np.float64] = (orders * 31 % 1_000) / 4
    return found


def customers(orders: Numbers) -> Numbers:
    """Return who bought: each customer once in as many orders as there are customers."""
    found: Numbers = orders * 7_919 % CUSTOMERS
    return found


def write_sources(folder: Path) -> None:
    """Write orders once each, one visit in a hundred twice, and every click twice."""
    each = np.arange(ROWS)
    at = pa.array(START + each * np.timedelta64(STEP_MS, "ms")).cast(pa.timestamp("us", "UTC"))
    returned = (amounts(each) > 125) ^ (each % 10 == 0)
    orders = {"order_id": each, "customer": customers(each), "at": at, "amount": amounts(each), "returned": returned}
    pq.write_table(pa.table(orders), folder / "orders.parquet")
    visit = np.where(each % 100 == 99, each - 1, each)
    visits = {"visit": visit, "customer": visit % 10, "minutes": visit % 60 / 4}
    pa_csv.write_csv(pa.table(visits), folder / "visits.csv")
    clicks = f"SELECT i // 2 AS click, 'page ' || (i // 2) % 7 AS page FROM range({ROWS}) AS rows(i)"  # noqa: S608
    duckdb.sql(f"COPY ({clicks}) TO '{folder / 'clicks.json'}' (FORMAT json)")


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the storage root in which a process of its own has made the whole book, within its limits."""
    folder = tmp_path_factory.mktemp("road")
    write_sources(folder)
    (folder / "book").mkdir()
    (folder / "book" / "book.yaml").write_text(BOOK, encoding="utf-8")
    command = [sys.executable, "-m", "metaplatform_tests.factories.long_road", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    assert done.returncode == 0, done.stderr[-3_000:]
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["peak_mb"] < LIMIT_MB, measured
    return folder / "storage"


def stored(root: Path, ref: str) -> pl.DataFrame:
    """Return a stored table, read by a library that is not the platform's."""
    return pl.scan_delta(str(root.joinpath("warehouse", *ref.split(".")))).collect()


def test_each_row_of_each_kind_of_file_is_stored_or_quarantined(road: Path) -> None:
    found = {ref: (stored(road, f"raw.{ref}").height) for ref in ("orders", "visits", "clicks")}
    assert found == {"orders": ROWS, "visits": ROWS * 99 // 100, "clicks": ROWS // 2}
    tables = [log.parent for log in (road / "warehouse").glob("*/*/_delta_log")]
    aside = {table.name: DeltaTable(str(table)).count() for table in tables if "quarantine" in table.name}
    assert sorted(aside.values()) == [ROWS // 100, ROWS // 2], [str(table) for table in tables]


def test_what_is_stored_is_what_was_written(road: Path) -> None:
    each = np.arange(ROWS)
    orders = stored(road, "raw.orders").sort("order_id")
    assert np.array_equal(orders["order_id"].to_numpy(), each)
    assert np.array_equal(orders["amount"].to_numpy(), amounts(each))
    assert orders["at"].dt.epoch("ms").to_numpy()[[0, -1]].tolist() == [
        START.astype(int),
        START.astype(int) + (ROWS - 1) * STEP_MS,
    ]
    clicks = stored(road, "raw.clicks").sort("click")
    assert np.array_equal(clicks["click"].to_numpy(), np.arange(ROWS // 2))
    assert clicks["page"][[0, 8, -1]].to_list() == ["page 0", "page 1", f"page {(ROWS // 2 - 1) % 7}"]


def test_windows_over_all_rows_are_those_worked_out_by_hand(road: Path) -> None:
    """A customer's orders come every ``CUSTOMERS`` orders: how many lie within a day before is known."""
    each = np.arange(ROWS)
    features = stored(road, "features.facts").sort("order_id")
    within = (DAY_MS - 1) // (CUSTOMERS * STEP_MS)
    bought = np.minimum(each // CUSTOMERS, within)
    assert np.array_equal(features["bought"].to_numpy(), bought)
    by_customer = amounts(each).reshape(-1, CUSTOMERS)
    sums = np.vstack([np.zeros(CUSTOMERS), by_customer.cumsum(axis=0)])
    turn = np.arange(ROWS // CUSTOMERS)
    spent = (sums[turn] - sums[np.maximum(turn - within, 0)]).ravel()
    assert np.array_equal(features["spent"].fill_null(0).to_numpy(), spent)
    visited = np.where(each % 100 == 99, np.nan, each % 60 / 4)
    assert np.array_equal(features["stayed"].fill_null(np.nan).to_numpy(), visited, equal_nan=True)


def test_every_row_is_scored_and_reaches_each_output(road: Path) -> None:
    scores = stored(road, "predictions.order_returns").sort("order_id")
    each = np.arange(ROWS)
    assert np.array_equal(scores["order_id"].to_numpy(), each)
    by_outcome = dict(scores.group_by("returned").agg(pl.col("probability").mean()).iter_rows())
    assert by_outcome[True] > by_outcome[False] + 0.2
    (as_parquet,) = (road / "exports").rglob("*.parquet")
    (as_csv,) = (road / "exports").rglob("*.csv")
    total = scores["probability"].sum()
    for exported in (pl.read_parquet(as_parquet), pl.read_csv(as_csv)):
        assert exported.height == exported["order_id"].n_unique() == ROWS
        assert exported["probability"].sum() == pytest.approx(total)
    report = stored(road, "outputs.as_report")
    returned = int(((amounts(each) > 125) ^ (each % 10 == 0)).sum())
    assert report.sort("returned")["scored"].to_list() == [ROWS - returned, returned]
    assert report["_partition"].unique().to_list() == [PARTITION]

"""How far labels are known, from the logs of real tables."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from metaplatform.compute.policy.maturity import NOTHING_ARRIVED
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.work.label_maturity import labels_known_at
from metaplatform_tests.compute.policy.test_maturity import JOINED, JOINED_BOOK, manifest_of, source

LATE = datetime(2025, 1, 1, tzinfo=UTC)
MARCH = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(root=str(tmp_path))


def arrive(warehouse: Warehouse, name: str, *moments: datetime, partition: str | None = None) -> None:
    rows = pa.table({"id": list(range(len(moments))), "at": pa.array(moments, pa.timestamp("us", "UTC"))})
    warehouse.replace(f"raw.{name}", rows, partition=partition, metadata={})


def test_time_that_passes_behind_the_end_of_the_data_makes_no_label_known(warehouse: Warehouse) -> None:
    model = JOINED_BOOK.models["pays"]
    assert labels_known_at(JOINED_BOOK, model, warehouse, LATE) == NOTHING_ARRIVED
    arrive(warehouse, "orders", MARCH, partition="2024-02")
    arrive(warehouse, "orders", MARCH, partition="2024-03")
    arrive(warehouse, "payments", MARCH, partition="2024-02")
    assert labels_known_at(JOINED_BOOK, model, warehouse, LATE) == MARCH
    assert labels_known_at(JOINED_BOOK, model, warehouse, MARCH - timedelta(days=1)) == MARCH - timedelta(days=1)


def test_without_partitions_the_newest_event_is_the_end_of_the_data(warehouse: Warehouse) -> None:
    sources = (source(name, partitioned=False) for name in ("orders", "payments"))
    book = manifest_of("tables.labelled", *sources, tables=JOINED)
    arrive(warehouse, "orders", MARCH - timedelta(days=3), MARCH)
    arrive(warehouse, "payments", MARCH - timedelta(days=2))
    assert labels_known_at(book, book.models["pays"], warehouse, LATE) == MARCH


def test_an_outcome_that_stands_in_the_row_is_known_when_its_delay_has_passed(warehouse: Warehouse) -> None:
    book = manifest_of("raw.orders", source("orders"))
    assert labels_known_at(book, book.models["pays"], warehouse, LATE) == LATE

"""A file is judged by its own rows: a small bad one beside a long history is held back, whatever its kind."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaplatform.compute.policy.quarantine import LEAST_FAULTY
from metaplatform.work.approvals import approve
from metaplatform_tests.factories.live_loop import LiveLoop

BOOK = """\
sources:
  orders:
    kind: {kind}
    path: data/*.{kind}
    columns: {{id: bigint, at: timestamp, amount: double}}
    key: [id]
    event_timestamp: at
{partitions}
tables:
  totals: {{sql: "select count(*) as orders from raw.orders"}}
"""
PARTITIONS = "    partitions: {every: month, start: 2024-01}"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def write(loop: LiveLoop, name: str, kind: str, amounts: list[str], *, first: int) -> None:
    """Write a file of a month's orders, settled."""
    rows = [{"id": str(first + n), "at": "2024-01-05 10:00:00", "amount": each} for n, each in enumerate(amounts)]
    path = loop.folder / "data" / f"{name}.{kind}"
    path.parent.mkdir(exist_ok=True)
    match kind:
        case "csv":
            lines = ["id,at,amount", *(",".join(row.values()) for row in rows)]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        case "json":
            path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        case _:
            pq.write_table(pa.Table.from_pylist(rows), path)
    os.utime(path, (time.time() - 60,) * 2)


@pytest.mark.parametrize("partitions", ["", PARTITIONS], ids=["whole", "by month"])
@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_a_bad_file_beside_a_long_history_is_held_back_and_told_until_a_person_lets_it_pass(
    tmp_path: Path, instance: dg.DagsterInstance, kind: str, partitions: str
) -> None:
    loop = LiveLoop(tmp_path, instance, BOOK.format(kind=kind, partitions=partitions))
    write(loop, "history", kind, ["1"] * 5_000, first=0)
    write(loop, "slip", kind, ["1", "1 EUR"], first=8_000)
    loop.settle()
    assert loop.contract("orders").passed, "one row of two is a slip, not a bad file"
    assert loop.rows("tables.totals") == [{"orders": 5_001}]
    write(loop, "today", kind, ["1", *["47.16 EUR"] * 99], first=9_000)
    assert loop.reasons_until_told() == ["raw.orders: new or changed files"]
    verdict = loop.contract("orders")
    told = f"99 of 100 rows of data/today.{kind} are in quarantine"
    assert (verdict.passed, verdict.blocking) == (False, True)
    assert verdict.description == f"{told}: more than the share of 0.1 that may be"
    assert verdict.metadata["reasons"].value == ["amount: '47.16 EUR' is not a valid double"]
    assert told in loop.tick().skip_message
    assert loop.rows("tables.totals") == [{"orders": 5_001}]
    (held,) = approve(loop.manifest, loop.warehouse, "raw.orders", None, reason="a test", now=datetime.now(UTC))
    assert (held.why, held.partition) == (told, "2024-01" if partitions else "")
    loop.settle()
    assert loop.rows("tables.totals") == [{"orders": 5_002}]
    write(loop, "today", kind, ["1", *["47.17 EUR"] * 99], first=9_000)
    loop.settle()
    assert not loop.contract("orders").passed, "the approval was for other rows"


def test_lines_that_are_no_rows_are_held_against_their_file_and_copies_are_not(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    loop = LiveLoop(tmp_path, instance, BOOK.format(kind="csv", partitions=""))
    write(loop, "history", "csv", ["1"] * 1_000, first=0)
    write(loop, "copy", "csv", ["1"] * 100, first=0)
    write(loop, "broken", "csv", ["1", *["1,too many"] * LEAST_FAULTY], first=2_000)
    loop.reasons_until_told()
    assert loop.contract("orders").description == (
        "10 of 11 rows of data/broken.csv are in quarantine: more than the share of 0.1 that may be"
    )
    write(loop, "broken", "csv", ["1", *["1,too many"] * (LEAST_FAULTY - 1)], first=2_000)
    loop.settle()
    assert loop.contract("orders").passed
    assert loop.rows("tables.totals") == [{"orders": 1_001}]

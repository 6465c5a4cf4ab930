"""Rows for the model benchmarks: 16 numbers and 4 texts in one DuckDB table, and the same as a ready matrix."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pyarrow as pa

NUMBERS = [f"n{place:02d}" for place in range(16)]
CATEGORIES = {"c0": 5, "c1": 60, "c2": 500, "c3": 5_000}
FEATURES = [*NUMBERS, *CATEGORIES]
KEPT_CATEGORIES = 64


@contextmanager
def engine_with_rows(rows: int) -> Iterator[Any]:
    """Open an engine whose table ``raw_rows`` holds key, features and label, in key order."""
    backend = ibis.duckdb.connect(threads=2)
    backend.raw_sql("SET TimeZone='UTC'")
    uniform = "hash(id * {seed}) % 1000003 / 1000003.0"
    numbers = [
        f"case when hash(id * {place + 71}) % 50 > 0 then {uniform.format(seed=place + 11)} end as {name}"
        for place, name in enumerate(NUMBERS)
    ]
    texts = [
        f"'level ' || hash(id * {place + 31}) % {size} as {name}"
        for place, (name, size) in enumerate(CATEGORIES.items())
    ]
    signal = f"{uniform.format(seed=11)} + {uniform.format(seed=12)} + (hash(id * 31) % 5) / 5.0"
    label = f"({signal} + {uniform.format(seed=997)} > 2)::double as label"
    columns = ", ".join([*numbers, *texts, label])
    backend.raw_sql(f"create table raw_rows as select id, {columns} from range({rows}) ids(id) order by id")
    try:
        yield backend
    finally:
        backend.disconnect()


def reader_of(backend: Any, expression: Any, *, chunk: int = 100_000) -> pa.RecordBatchReader:
    """Stream an expression's rows on a cursor of its own, as the warehouse does."""
    cursor = backend.con.cursor()
    for table in expression.op().find(ibis.expr.operations.InMemoryTable):
        cursor.register(table.name, table.data.to_pyarrow(table.schema))
    return cursor.sql(backend.compile(expression)).to_arrow_reader(chunk)


def fetch_matrix(backend: Any, table: str) -> tuple[np.ndarray, np.ndarray]:
    """Fetch a ready matrix the way a notebook does: one query, NumPy columns, one float32 matrix."""
    found = backend.con.cursor().sql(f"select * from {table}").fetchnumpy()
    columns = [np.ma.filled(found[name].astype(np.float32), np.nan) for name in FEATURES]
    return np.column_stack(columns), np.asarray(found["label"])


@dataclass
class Cost:
    """Least seconds that a way took: by the clock, and of this process's processors."""

    wall: float = float("inf")
    cpu: float = float("inf")

    def ratio(self, other: "Cost") -> dict[str, float]:
        """Return how many times as much this way costs as the other."""
        return {"wall": round(self.wall / other.wall, 3), "cpu": round(self.cpu / other.cpu, 3)}


def alternate(ways: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, Cost]:
    """Return the least cost of each way, run in turns so that a busy neighbour meets them all."""
    best = {name: Cost() for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            best[name].wall = min(best[name].wall, time.perf_counter() - wall)
            best[name].cpu = min(best[name].cpu, time.process_time() - cpu)
    return best

"""What other processes run in the tests of concurrent and killed writes; run by path, with ``ACT`` as a global."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa

from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import Decision

BATCH = pa.record_batch({"writer": pa.array(["new"] * 50_000), "n": pa.array(range(50_000), pa.int64())})


def replace(root: str, ref: str, partition: str, writer: str, times: int) -> None:
    rows = pa.table({"writer": [writer] * 1000, "n": range(1000)})
    for _ in range(times):
        Warehouse(root=root).replace(ref, rows, partition=partition or None, metadata={"writer": writer})


def shuffle(root: str, ref: str, keys: str, times: int) -> None:
    """Replace the partitions ``keys`` in turn by ten rows each, whose numbers tell which turn it was."""
    for turn in range(1, times + 1):
        for key in keys.split():
            rows = pa.table({"n": [turn] * 10})
            Warehouse(root=root).replace(ref, rows, partition=key, metadata={})


def maintain(root: str, ref: str, times: int) -> None:
    for _ in range(times):
        Warehouse(root=root).maintain(ref, retention_hours=24)


def die_rewriting(root: str, ref: str, partition: str) -> None:
    """Be killed while the rows that share a file with the replaced ones are read."""
    from metaplatform.resources.delta import delta_rewriting

    class Killed(delta_rewriting.pq.ParquetFile):
        def iter_batches(self, *_: object, **__: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    delta_rewriting.pq.ParquetFile = Killed
    Warehouse(root=root).replace(ref, pa.table({"writer": ["new"], "n": [1]}), partition=partition, metadata={})


def decide(root: str, writer: str, times: int) -> None:
    for number in range(times):
        shared = Decision(f"shared-{number}", "m", "wait", "", writer, datetime(2013, 1, 1, tzinfo=UTC))
        own = Decision(f"{writer}-{number}", "m", "wait", "", writer, datetime(2013, 1, 1, tzinfo=UTC))
        Ledger(Warehouse(root=root)).append(shared, own)


def die_within(root: str, ref: str, partition: str, batches: int) -> None:
    """Write ``batches`` batches of rows, then be killed as by ``kill -9``, in the middle of the stream."""

    def generate() -> Iterator[pa.RecordBatch]:
        for _ in range(batches):
            yield BATCH
        os.kill(os.getpid(), signal.SIGKILL)

    reader = pa.RecordBatchReader.from_batches(BATCH.schema, generate())
    Warehouse(root=root).replace(ref, reader, partition=partition or None, metadata={})


def die_at_commit(root: str, ref: str, partition: str) -> None:
    """Be killed when all files are written and the commit's lock is held."""
    from metaplatform.resources.delta import delta_commits

    def killed(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    delta_commits.create_table_with_add_actions = killed
    delta_commits.DeltaTable.create_write_transaction = killed
    Warehouse(root=root).replace(ref, pa.Table.from_batches([BATCH]), partition=partition or None, metadata={})


def die_in_session(root: str) -> None:
    with Warehouse(root=root).session():
        os.kill(os.getpid(), signal.SIGKILL)


ACTS = {
    act.__name__: act
    for act in (replace, shuffle, maintain, decide, die_within, die_rewriting, die_at_commit, die_in_session)
}

if __name__ == "__main__":
    act, arguments = ACT  # type: ignore[name-defined]  # noqa: F821 - given by run_path
    ACTS[act](*arguments)

"""Several processes at one warehouse, and processes killed in the middle: nothing torn, nothing lost."""

import multiprocessing
import runpy
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

import ibis
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import Decision

WRITERS = Path(__file__).with_name("writers.py")
OLD = pa.table({"writer": ["old"] * 10, "n": range(10)})
KEYS = ("2013-01", "2013-02", "2013-03", "2013-04")


PROCESSES = multiprocessing.get_context("forkserver")
# Each writer is a process of its own, forked from one that has the libraries imported and nothing started.
PROCESSES.set_forkserver_preload(["pytest", "metaplatform.resources.storage.ledger"])


def start(act: str, *arguments: str | int) -> BaseProcess:
    act_of_script = {"init_globals": {"ACT": (act, arguments)}, "run_name": "__main__"}
    process = PROCESSES.Process(target=runpy.run_path, args=(str(WRITERS),), kwargs=act_of_script)
    process.start()
    return process


def exit_codes(*processes: BaseProcess) -> list[int | None]:
    for process in processes:
        process.join(timeout=300)
    return [process.exitcode for process in processes]


def rows_of(warehouse: Warehouse, ref: str) -> list[dict[str, object]]:
    with warehouse.session() as session:
        return session.stream(_sorted(session.table(ref))).read_all().to_pylist()


def _sorted(table: ibis.Table) -> ibis.Table:
    return table.order_by(*sorted(table.columns))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(root=str(tmp_path))


class TestFourProcesses:
    def test_write_four_tables_at_once(self, warehouse: Warehouse):
        assert (
            exit_codes(*[start("replace", warehouse.root, f"raw.t{number}", "", "w", 3) for number in range(4)])
            == [0] * 4
        )
        assert [warehouse.row_count(f"raw.t{number}") for number in range(4)] == [1000] * 4
        assert [warehouse.version(f"raw.t{number}") for number in range(4)] == [2] * 4

    def test_replace_four_partitions_of_one_table_that_none_of_them_finds(self, warehouse: Warehouse):
        assert exit_codes(*[start("replace", warehouse.root, "raw.t", key, key, 3) for key in KEYS]) == [0] * 4
        assert {key: state.rows for key, state in warehouse.partitions("raw.t").items()} == dict.fromkeys(KEYS, 1000)
        assert all(row["writer"] == row["_partition"] for row in rows_of(warehouse, "raw.t"))

    def test_replace_the_same_partition_and_one_of_them_remains(self, warehouse: Warehouse):
        assert (
            exit_codes(*[start("replace", warehouse.root, "raw.t", "2013-01", writer, 3) for writer in "abcd"])
            == [0] * 4
        )
        rows = rows_of(warehouse, "raw.t")
        assert len(rows) == 1000
        assert len({row["writer"] for row in rows}) == 1

    def test_replace_the_same_whole_table_and_one_of_them_remains(self, warehouse: Warehouse):
        assert exit_codes(*[start("replace", warehouse.root, "raw.t", "", writer, 3) for writer in "abcd"]) == [0] * 4
        rows = rows_of(warehouse, "raw.t")
        assert len(rows) == 1000
        assert len({row["writer"] for row in rows}) == 1
        assert warehouse.version("raw.t") == 11

    def test_keep_decisions_in_one_ledger_each_once(self, warehouse: Warehouse):
        assert exit_codes(*[start("decide", warehouse.root, writer, 5) for writer in "abcd"]) == [0] * 4
        kept = [decision.decision_id for decision in Ledger(warehouse).read(Decision)]
        assert sorted(kept) == sorted(
            {*(f"{writer}-{n}" for writer in "abcd" for n in range(5)), *(f"shared-{n}" for n in range(5))}
        )


class TestPartitionsOfOneFile:
    @pytest.fixture
    def shared(self, warehouse: Warehouse) -> Warehouse:
        """Return a warehouse with a table of one file, ten rows of each partition in it."""
        rows = pa.table({"n": [0] * 10 * len(KEYS), "_partition": [key for key in KEYS for _ in range(10)]})
        warehouse.replace_partitions("raw.t", rows.to_reader(), partitions=KEYS, metadata={})
        assert warehouse.partitions("raw.t")[KEYS[0]].files == 1
        return warehouse

    def test_are_replaced_by_two_processes_while_a_third_joins_files_and_others_read(self, shared: Warehouse):
        keys = (" ".join(KEYS[::2]), " ".join(KEYS[1::2]))
        writers = [start("shuffle", shared.root, "raw.t", each, 15) for each in keys]
        keeper = start("maintain", shared.root, "raw.t", 20)
        seen = dict.fromkeys(KEYS, 0)
        while any(process.is_alive() for process in (*writers, keeper)):
            dataset = DeltaTable(shared.path("raw.t").as_uri()).to_pyarrow_dataset()
            rows = dataset.to_table(columns=["_partition", "n"]).to_pylist()
            found = {key: [row["n"] for row in rows if row["_partition"] == key] for key in KEYS}
            assert all(len(numbers) == 10 and len(set(numbers)) == 1 for numbers in found.values())
            assert all(numbers[0] >= seen[key] for key, numbers in found.items()), "no replacement is undone"
            seen = {key: numbers[0] for key, numbers in found.items()}
        assert exit_codes(*writers, keeper) == [0] * 3
        rows = rows_of(shared, "raw.t")
        assert [(row["_partition"], row["n"]) for row in rows] == [(key, 15) for key in KEYS for _ in range(10)]

    @pytest.mark.parametrize("act", ["die_rewriting", "die_at_commit"])
    def test_stay_when_the_write_of_one_is_killed(self, warehouse: Warehouse, act: str):
        data = OLD.append_column("_partition", pa.array(sorted(KEYS[:2] * 5))).to_reader()
        warehouse.replace_partitions("raw.t", data, partitions=KEYS[:2], metadata={})
        before = rows_of(warehouse, "raw.t")
        assert exit_codes(start(act, warehouse.root, "raw.t", KEYS[1])) == [-signal.SIGKILL]
        assert rows_of(warehouse, "raw.t") == before
        assert warehouse.version("raw.t") == 0
        warehouse.replace("raw.t", OLD.slice(0, 1), partition=KEYS[1], metadata={})
        assert len(rows_of(warehouse, "raw.t")) == 6


class TestAWriteKilledInItsMiddle:
    @pytest.mark.parametrize("batches", [0, 1, 7])
    @pytest.mark.parametrize("partition", ["", "2013-02"])
    def test_leaves_the_old_rows_and_may_be_run_again(self, warehouse: Warehouse, partition: str, batches: int):
        warehouse.replace("raw.t", OLD, partition="2013-01" if partition else None, metadata={})
        if partition:
            warehouse.replace("raw.t", OLD, partition=partition, metadata={})
        before, version = rows_of(warehouse, "raw.t"), warehouse.version("raw.t")
        killed = start("die_within", warehouse.root, "raw.t", partition, batches)
        assert exit_codes(killed) == [-signal.SIGKILL]
        self.assert_unchanged_and_writable(warehouse, partition, before, version)

    @pytest.mark.parametrize("partition", ["", "2013-02"])
    def test_leaves_the_old_rows_at_the_instant_of_its_commit(self, warehouse: Warehouse, partition: str):
        warehouse.replace("raw.t", OLD, partition="2013-01" if partition else None, metadata={})
        before, version = rows_of(warehouse, "raw.t"), warehouse.version("raw.t")
        killed = start("die_at_commit", warehouse.root, "raw.t", partition)
        assert exit_codes(killed) == [-signal.SIGKILL]
        self.assert_unchanged_and_writable(warehouse, partition, before, version)

    def test_of_a_new_table_leaves_no_table(self, warehouse: Warehouse):
        killed = start("die_within", warehouse.root, "raw.t", "", 3)
        assert exit_codes(killed) == [-signal.SIGKILL]
        assert not warehouse.exists("raw.t")
        warehouse.replace("raw.t", OLD, partition=None, metadata={})
        assert len(rows_of(warehouse, "raw.t")) == 10

    def assert_unchanged_and_writable(
        self, warehouse: Warehouse, partition: str, before: list[dict[str, object]], version: int | None
    ) -> None:
        assert rows_of(warehouse, "raw.t") == before
        assert warehouse.version("raw.t") == version
        warehouse.replace("raw.t", OLD.slice(0, 5), partition=partition or None, metadata={})
        others = 10 if partition else 0
        assert len(rows_of(warehouse, "raw.t")) == 5 + others


def test_the_temporary_files_of_a_killed_session_go_with_the_next(warehouse: Warehouse):
    assert exit_codes(start("die_in_session", warehouse.root)) == [-signal.SIGKILL]
    temporary = Path(warehouse.root) / "tmp"
    assert len(list(temporary.iterdir())) == 1
    with warehouse.session() as outer:
        assert [outer.folder] == list(temporary.iterdir())
        with warehouse.session() as inner:
            assert sorted(temporary.iterdir()) == sorted([outer.folder, inner.folder]), "one in use stays"
    assert list(temporary.iterdir()) == []

"""Records by partition: the same as files of the whole said, by several processes, killed or not, old roots too."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.errors import StorageError
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.label_records import LabelRecords
from metaplatform.specs.book.builds import Built, BuiltPartition

REF = "features.known"
FIELDS = {"spine": "raw.visits", "features": []}


def made(number: int, **others: Any) -> BuiltPartition:
    return BuiltPartition("spec", {"raw.visits": "lineage"}, 0.1, f"run-{number}", content=f"c{number}", **others)


def write_earlier(root: Path, ref: str, built: Built) -> Path:
    """Write the file in which an earlier release kept an asset's records."""
    path = root / "book" / "built" / f"{ref.replace('.', '/')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(built)))
    return path


class WholeFiles:
    """The records as earlier releases kept them: each asset read and written whole. The oracle."""

    def __init__(self) -> None:
        self.built: dict[str, Built] = {}

    def keep(self, ref: str, fields: Mapping[str, Any], found: Mapping[str, BuiltPartition]) -> None:
        before = self.built.get(ref)
        others = before.partitions if before and "" not in {*before.partitions, *found} else {}
        self.built[ref] = Built(fields, {**others, **found}, unfinished=before.unfinished if before else False)

    def begin(self, ref: str, fields: Mapping[str, Any]) -> None:
        self.built[ref] = Built(fields, {}, unfinished=True)

    def finish(self, ref: str) -> None:
        before = self.built.get(ref, Built({}))
        self.built[ref] = Built(before.fields, before.partitions)


refs = st.sampled_from(["raw.a", "tables.b"])
keys = st.sampled_from(["", "2024-01-01", "2024-01-02", "2024-01-03"])
partitions = st.builds(
    made,
    st.integers(0, 9),
    model_version=st.none() | st.integers(1, 3),
    read=st.dictionaries(refs, st.text("ab", max_size=2)),
    periods=st.dictionaries(st.just("day UTC"), st.dictionaries(keys, st.text("ab", max_size=2))),
)
steps = st.one_of(
    st.tuples(st.just("keep"), refs, st.dictionaries(keys, partitions, min_size=1, max_size=3)),
    st.tuples(st.just("begin"), refs),
    st.tuples(st.just("finish"), refs),
    st.tuples(st.just("look"), refs),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=14))
def test_what_is_kept_is_what_files_of_the_whole_would_say(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[Any, ...]]
) -> None:
    root, oracle = tmp_path_factory.mktemp("root"), WholeFiles()
    for number, (step, ref, *found) in enumerate(history):
        records = BuildRecords(root)
        if step == "keep":
            oracle.keep(ref, {**FIELDS, "number": number}, found[0])
            records.keep(ref, {**FIELDS, "number": number}, found[0])
        elif step == "begin":
            oracle.begin(ref, FIELDS)
            records.begin(ref, FIELDS)
        elif step == "finish":
            oracle.finish(ref)
            records.finish(ref)
        else:
            assert records.read(ref) == oracle.built.get(ref)
    assert BuildRecords(root).all() == oracle.built
    assert {ref: BuildRecords(root).read(ref) for ref in oracle.built} == oracle.built


def test_what_has_not_changed_is_the_same_object_at_the_next_look(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path)
    records.keep("raw.a", FIELDS, {"2024-01-01": made(1)})
    records.keep("raw.b", FIELDS, {"2024-01-01": made(1), "2024-01-02": made(2)})
    before = records.all()
    records.keep("raw.b", FIELDS, {"2024-01-02": made(3)})
    after = BuildRecords(tmp_path).all()
    assert after["raw.a"] is before["raw.a"]
    assert after["raw.b"] is not before["raw.b"]
    assert after["raw.b"].partitions["2024-01-01"] is before["raw.b"].partitions["2024-01-01"]
    assert before["raw.b"].partitions["2024-01-02"] == made(2)


def test_the_files_of_an_earlier_release_are_taken_over_once(tmp_path: Path) -> None:
    kept = Built(FIELDS, {"2024-01-01": made(1), "2024-01-02": made(2)}, unfinished=True)
    write_earlier(tmp_path, REF, kept)
    older = asdict(Built(FIELDS, {"": made(3)}))
    # Before contents were kept.
    for field in ("read", "content", "periods", "model_version"):
        del older["partitions"][""][field]
    path = write_earlier(tmp_path, "raw.visits", Built(FIELDS))
    path.write_text(json.dumps(older))
    found = BuildRecords(tmp_path).all()
    assert found[REF] == kept
    assert found["raw.visits"].partitions[""].run_id == "run-3"
    assert not (tmp_path / "book" / "built").exists()
    BuildRecords(tmp_path).keep(REF, FIELDS, {"2024-01-02": made(4)})
    # As if the one who took them over had been killed before the files went.
    write_earlier(tmp_path, REF, kept)
    read = BuildRecords(tmp_path).read(REF)
    assert read is not None
    assert read.partitions["2024-01-02"] == made(4)


def test_a_record_is_kept_beside_those_of_an_earlier_release(tmp_path: Path) -> None:
    write_earlier(tmp_path, REF, Built(FIELDS, {"2024-01-01": made(1)}))
    BuildRecords(tmp_path).keep(REF, FIELDS, {"2024-01-02": made(2)})
    assert BuildRecords(tmp_path).read(REF) == Built(FIELDS, {"2024-01-01": made(1), "2024-01-02": made(2)})


@pytest.mark.parametrize("text", ["{", "[]", '{"fields": {}}', '{"fields": {}, "partitions": {"a": 1}}'])
def test_a_damaged_file_of_an_earlier_release_is_told_and_nothing_is_lost(tmp_path: Path, text: str) -> None:
    kept = Built(FIELDS, {"2024-01-01": made(1)})
    write_earlier(tmp_path, REF, kept)
    path = write_earlier(tmp_path, "raw.visits", kept)
    path.write_text(text)
    with pytest.raises(StorageError, match=r"visits\.json.*remove the file"):
        BuildRecords(tmp_path).all()
    path.unlink()
    assert BuildRecords(tmp_path).all() == {REF: kept}


def test_label_counts_of_an_earlier_release_are_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "book" / "labels"
    folder.mkdir(parents=True)
    rows = {"2024-01-01": [[7, 2, 0.0, 1.0]], "2024-01-02": []}
    (folder / "buys.json").write_text(json.dumps({"definition": "d", "partitions": rows}))
    records = LabelRecords(tmp_path)
    assert records.read("buys", "d") == {"2024-01-01": {7: (2, 0.0, 1.0)}, "2024-01-02": {}}
    assert records.read("buys", "other") == {}
    records.keep("buys", "d", {"2024-01-02": {8: (1, 1.0, 1.0)}})
    assert records.read("buys", "d") == {"2024-01-01": {7: (2, 0.0, 1.0)}, "2024-01-02": {8: (1, 1.0, 1.0)}}
    records.keep("buys", "other", {"2024-01-03": {}})
    assert records.read("buys", "other") == {"2024-01-03": {}}
    assert records.read("buys", "d") == {}


def process(root: Path, lines: str) -> "subprocess.Popen[str]":
    """Start a process that works with the records of ``root``."""
    head = (
        "import sys; from pathlib import Path; from itertools import count\n"
        "from metaplatform_tests.resources.storage.test_partition_records import REF, FIELDS, made\n"
        "from metaplatform.resources.storage.build_records import BuildRecords\n"
        "records, who = BuildRecords(Path(sys.argv[1])), sys.argv[2]\n"
    )
    command = [sys.executable, "-c", head + lines, str(root)]
    return subprocess.Popen([*command, "one"], stdout=subprocess.PIPE, text=True)


def test_several_processes_keep_records_at_once(tmp_path: Path) -> None:
    write_earlier(tmp_path, REF, Built(FIELDS, {"before": made(0)}))
    lines = "for number in range(40): records.keep(REF, FIELDS, {f'{NAME}-{number}': made(number)})"
    started = [process(tmp_path, lines.replace("NAME", str(number))) for number in range(3)]
    for each in started:
        each.communicate(timeout=120)
    assert [each.returncode for each in started] == [0, 0, 0]
    found = BuildRecords(tmp_path).read(REF)
    assert found is not None
    assert set(found.partitions) == {"before"} | {f"{name}-{number}" for name in range(3) for number in range(40)}


def test_a_process_that_is_killed_in_the_middle_leaves_whole_records(tmp_path: Path) -> None:
    """Each write is of two partitions: never one of them alone."""
    lines = (
        "for number in count():\n"
        "    records.keep(REF, FIELDS, {f'{number}-a': made(number), f'{number}-b': made(number)})\n"
        "    print(number, flush=True)"
    )
    kept = 0
    for _ in range(4):
        working = process(tmp_path, lines)
        assert working.stdout is not None
        told = [working.stdout.readline() for _ in range(5)]
        time.sleep(0.003)
        os.kill(working.pid, signal.SIGKILL)
        rest, _ = working.communicate()
        kept = max(kept, int([*told, *rest.splitlines()][-1]))
        found = BuildRecords(tmp_path).read(REF)
        assert found is not None
        assert {key.removesuffix("-a") for key in found.partitions if key.endswith("-a")} == {
            key.removesuffix("-b") for key in found.partitions if key.endswith("-b")
        }
        assert {f"{number}-a" for number in range(kept + 1)} <= set(found.partitions)


def test_what_a_killed_process_had_half_written_is_undone_by_whoever_looks(tmp_path: Path) -> None:
    """Pages are in the file already, and the journal that undoes them lies beside it."""
    BuildRecords(tmp_path).keep(REF, FIELDS, {"2024-01-01": made(1)})
    lines = (
        "import os, sqlite3\n"
        "connection = sqlite3.connect(Path(sys.argv[1]) / 'book' / 'records.db', isolation_level=None)\n"
        "connection.execute('PRAGMA cache_size = 1')\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "connection.execute('DELETE FROM partitions')\n"
        "insert = \"INSERT INTO partitions VALUES ('built', ?, ?, ?, 9)\"\n"
        "connection.executemany(insert, [(REF, str(number), 'x' * 500) for number in range(5000)])\n"
        "os.kill(os.getpid(), 9)"
    )
    with process(tmp_path, lines) as killed:
        assert killed.wait(60) == -signal.SIGKILL
    assert (tmp_path / "book" / "records.db-journal").stat().st_size
    assert BuildRecords(tmp_path).all() == {REF: Built(FIELDS, {"2024-01-01": made(1)})}
    assert not (tmp_path / "book" / "records.db-journal").exists()


def test_a_damaged_database_is_told_with_its_place_and_a_fix(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path)
    records.keep(REF, FIELDS, {"2024-01-01": made(1)})
    (tmp_path / "book" / "records.db").write_bytes(b"no database at all" * 100)
    for ask in (records.all, lambda: records.read(REF), lambda: records.finish(REF)):
        with pytest.raises(
            StorageError, match=r"records\.db.*cannot be read.*restore the file from a backup, or remove"
        ):
            ask()
    (tmp_path / "book" / "records.db").unlink()
    assert records.all() == {}


def test_a_value_that_is_none_of_ours_is_told(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path)
    records.keep(REF, FIELDS, {"2024-01-01": made(1)})
    with sqlite3.connect(tmp_path / "book" / "records.db") as connection:
        connection.execute("UPDATE partitions SET value = '[]'")
        connection.execute("UPDATE owners SET change = change + 1")
        connection.execute("UPDATE partitions SET change = change + 1")
        connection.execute("UPDATE state SET change = change + 1")
    with pytest.raises(StorageError, match=r"records\.db.*cannot be read"):
        records.read(REF)


def test_records_put_back_from_a_backup_are_read_anew(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path)
    records.keep(REF, FIELDS, {"2024-01-01": made(1)})
    database = tmp_path / "book" / "records.db"
    backup = database.read_bytes()
    records.keep(REF, FIELDS, {"2024-01-02": made(2)})
    records.all()
    database.write_bytes(backup)
    assert records.all() == {REF: Built(FIELDS, {"2024-01-01": made(1)})}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told_and_can_be_read(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path)
    records.keep(REF, FIELDS, {"2024-01-01": made(1)})
    (tmp_path / "book" / "records.db").chmod(0o444)
    (tmp_path / "book").chmod(0o555)
    try:
        assert records.read(REF) == Built(FIELDS, {"2024-01-01": made(1)})
        with pytest.raises(StorageError, match=r"records\.db.*cannot be written.*space and rights"):
            records.keep(REF, FIELDS, {"2024-01-02": made(2)})
    finally:
        (tmp_path / "book").chmod(0o755)


def test_nothing_kept_is_nothing_and_makes_no_file(tmp_path: Path) -> None:
    assert BuildRecords(tmp_path).all() == {}
    assert BuildRecords(tmp_path).read(REF) is None
    assert not (tmp_path / "book").exists()
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "records.db").touch()
    assert BuildRecords(tmp_path).all() == {}


def test_no_reference_leads_out_of_the_root(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="names no table"):
        BuildRecords(tmp_path).keep("../etc", FIELDS, {"": made(1)})

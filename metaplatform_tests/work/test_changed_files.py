"""A source whose changed files are read alone holds what it holds when all files are read from nothing."""

import os
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from metaplatform.errors import DataError
from metaplatform.naming import PARTITION
from metaplatform.resources.storage.source_contents import ContentRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_contents import SourceContents
from metaplatform.specs.loading import load_book
from metaplatform.work import changed_files, staged_files
from metaplatform.work.staged_files import tables_of
from metaplatform.work.staging import SourceChangedError, read_source

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
DECLARED = "columns: {id: bigint, at: timestamp, amount: double}"
TIMED = "event_timestamp: at"
DAYS = "partitions: {every: day, start: 2024-02-28}"


@pytest.fixture(autouse=True)
def _any_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few small files be read alone, too."""
    monkeypatch.setattr(changed_files, "_MOST", 1.0)


@dataclass
class Project:
    """A source below ``folder``, whose files change; it is read into one root again and again."""

    folder: Path
    fields: tuple[str, ...]
    kind: str = "csv"
    ending: str = ""
    seconds: int = 1_700_000_000
    rooms: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    def __post_init__(self) -> None:
        """Write the book."""
        (self.folder / "metadata").mkdir(parents=True)
        (self.folder / "data").mkdir()
        told = "\n".join(f"    {each}" for each in self.fields)
        book = f"sources:\n  orders:\n    kind: {self.kind}\n    path: data/*.{self.ending or self.kind}\n{told}\n"
        (self.folder / "metadata" / "book.yaml").write_text(book, encoding="utf-8")
        self.manifest: Manifest = load_book(self.folder / "metadata")

    def write(self, name: str, *lines: str) -> Path:
        path = self.folder / "data" / f"{name}.{self.kind}"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return self.settle(path)

    def settle(self, path: Path) -> Path:
        """Give a file that was just written a time that no other has."""
        self.seconds += 1
        os.utime(path, (self.seconds, self.seconds))
        return path

    def warehouse(self, root: str = "storage") -> Warehouse:
        return Warehouse(root=str(self.folder / root))

    def read(self, now: datetime = NOW, root: str = "storage") -> SourceContents:
        warehouse, source = self.warehouse(root), self.manifest.sources["orders"]
        with warehouse.session() as session:
            return read_source(session, self.manifest, source, warehouse, arrived=now)

    def rows(self, root: str = "storage") -> list[Counter[Any]]:
        """Return the rows of the three tables, whatever numbers their files have."""
        warehouse, found = self.warehouse(root), []
        with warehouse.session() as session:
            for table in tables_of("raw.orders"):
                rows = session.stream(session.table(table)).read_all().to_pylist() if warehouse.exists(table) else []
                found.append(Counter(tuple(sorted(_plain(row).items())) for row in rows))
        return found

    def is_as_from_nothing(self, now: datetime = NOW) -> None:
        """See that what was read, one change after the other, is what one reading of all files finds."""
        root = f"fresh{next(self.rooms)}"
        found = self.told(now, "storage")
        assert found == self.told(now, root)
        assert isinstance(found, str) or self.rows() == self.rows(root)

    def told(self, now: datetime, root: str) -> SourceContents | str:
        try:
            return self.read(now, root)
        except DataError as error:
            return str(error)


def _plain(row: dict[str, Any]) -> dict[str, str]:
    return {name: repr(value) for name, value in row.items() if name != PARTITION}


def orders(day: int, *amounts: object, first: int = 0) -> list[str]:
    return [
        "id,at,amount",
        *(f"{first + day * 100 + n},2024-02-{day:02d} 10:00:00,{amount}" for n, amount in enumerate(amounts)),
    ]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path, (DECLARED, "key: [id]", TIMED, DAYS))
    for day in (28, 29):
        made.write(f"{day}", *orders(day, 1, 2, 3))
    made.read()
    return made


def hide_from_marks(path: Path, *lines: str) -> None:
    """Put other rows into a file, such that nothing tells but reading it."""
    before = path.stat()
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_that_has_not_changed_is_not_read_again(project: Project) -> None:
    hide_from_marks(project.folder / "data" / "28.csv", *orders(28, 7, 8, 9))
    project.write("new", "id,at,amount", "1,2024-02-28 11:00:00,4")
    contents = project.read()
    assert contents.stored == 7
    assert sum(float(dict(row)["amount"]) for row in project.rows()[0].elements()) == 2 * (1 + 2 + 3) + 4
    assert {key: held.rows for key, held in contents.partitions.items()} == {"2024-02-28": 4, "2024-02-29": 3}


def test_a_file_replaced_by_one_of_the_same_size_is_read_again(project: Project) -> None:
    project.write("28", *orders(28, 7, 8, 9))
    project.is_as_from_nothing()


def test_a_key_that_another_file_has_is_found(project: Project) -> None:
    project.write("more", *orders(28, 1, 7))
    assert project.read().quarantined == 2
    project.is_as_from_nothing()
    project.write("28", *orders(28, 1, first=50))
    project.is_as_from_nothing()
    assert project.read().quarantined == 0, "rows that repeated a key are stored once the first is gone"


def test_rows_too_far_ahead_are_read_again_once_their_time_has_come(project: Project) -> None:
    project.write("ahead", "id,at,amount", "1,2024-03-02 13:00:00,1", "2,2024-03-04 13:00:00,soon")
    assert project.read().quarantined == 2
    project.write("29", *orders(29, 1, 2))
    later = NOW + timedelta(hours=2)
    assert project.read(later).quarantined == 1
    project.is_as_from_nothing(later)
    project.is_as_from_nothing(NOW + timedelta(days=9))


def test_a_reading_that_was_killed_before_it_was_recorded_is_made_up_for(project: Project) -> None:
    records = ContentRecords(project.warehouse().root_path)
    known, files = records.read("orders"), records.files("orders")
    assert known is not None
    assert files is not None
    project.write("new", *orders(29, 5, first=50))
    project.write("29", *orders(29, 1, "bad"))
    project.read()
    for kept in (lambda: records.keep_files("orders", files), lambda: records.keep("orders", known)):
        kept()
        project.is_as_from_nothing()


def test_a_table_that_somebody_else_has_written_is_staged_anew(project: Project) -> None:
    warehouse = project.warehouse()
    for table in tables_of("raw.orders"):
        if warehouse.exists(table):
            warehouse.clear(table, metadata={})
    project.write("new", *orders(29, 5, first=50))
    project.is_as_from_nothing()


def test_what_an_earlier_release_has_staged_is_read_whole_once(project: Project) -> None:
    warehouse, records = project.warehouse(), ContentRecords(project.warehouse().root_path)
    with warehouse.session() as session:
        old = session.stream(session.table("raw.orders__staged").drop(PARTITION)).read_all()
    warehouse.clear("raw.orders__staged", metadata={})
    warehouse.replace("raw.orders__staged", old, partition=None, metadata={})
    (records._root / "contents" / "orders.files.json").unlink()
    project.write("new", *orders(29, 5, "bad", first=50))
    project.is_as_from_nothing()
    hide_from_marks(project.folder / "data" / "28.csv", *orders(28, 7, 8, 9))
    project.write("newer", *orders(29, 5, first=70))
    assert project.read().stored == 8
    assert "('amount', '7.0')" not in str(project.rows()[0])


def test_another_release_of_the_engine_reads_all_again(project: Project) -> None:
    records = ContentRecords(project.warehouse().root_path)
    files = records.files("orders")
    assert files is not None
    records.keep_files("orders", replace(files, engine="of old"))
    hide_from_marks(project.folder / "data" / "28.csv", *orders(28, 7, 8, 9))
    project.write("new", *orders(29, 5, first=50))
    project.is_as_from_nothing()


@pytest.mark.parametrize(
    "texts",
    [("1", "2.5", "3"), ("2024-01-01", "x", "2024-01-02"), ("", "1", ""), ("true", "", "x"), ("1", "01", "2")],
)
def test_types_that_nobody_declared_are_those_of_all_values(tmp_path: Path, texts: tuple[str, ...]) -> None:
    project = Project(tmp_path, ())
    for rows in ((0,), (0, 1), (0, 1, 2), (0, 2), (2,)):
        for path in (tmp_path / "data").iterdir():
            path.unlink()
        for row in rows:
            project.write(f"{row}", "a,b", f"{row},{texts[row]}")
        project.is_as_from_nothing()
    project.write("2", "a,b", "x,")
    project.is_as_from_nothing()


@pytest.mark.parametrize("contract", ["freeze", "evolve"])
def test_files_that_lack_a_column_or_have_another_one_are_read_with_all_others(tmp_path: Path, contract: str) -> None:
    project = Project(tmp_path, (DECLARED, f"contract: {contract}"))
    project.write("a", *orders(28, 1))
    project.is_as_from_nothing()
    for name, lines in (
        ("b", ["id,at,amount,note", "1,2024-02-28 10:00:00,1,x"]),
        ("c", ["amount,id,at", "1,2,2024-02-28 10:00:00"]),
        ("b", ["id,at", "1,2024-02-28 10:00:00"]),
        ("a", []),
        ("c", ["id,amount", "x,y"]),
    ):
        project.write(name, *lines)
        project.is_as_from_nothing()


def test_lines_that_are_not_rows_are_those_of_each_file(project: Project) -> None:
    project.write("x", *orders(28, "1,2", "1,2,3", 4, first=50))
    project.write("y")
    project.is_as_from_nothing()
    assert project.read().rejected == 3
    project.write("x", *orders(28, "1,2", 4, first=50))
    (project.folder / "data" / "y.csv").unlink()
    project.is_as_from_nothing()
    assert project.read().rejected == 1


def test_files_that_are_gone_leave_with_all_that_was_said_of_them(project: Project) -> None:
    project.write("bad", *orders(29, *["x"] * 12, first=50))
    assert [*project.read().faulty] == ["data/bad.csv"]
    (project.folder / "data" / "bad.csv").unlink()
    (project.folder / "data" / "28.csv").unlink()
    project.is_as_from_nothing()
    assert not project.read().faulty
    (project.folder / "data" / "29.csv").unlink()
    with pytest.raises(DataError, match="no file matches"):
        project.read()


@pytest.mark.parametrize("declared", ["", DECLARED])
def test_parquet_in_differing_types_is_what_it_is_together(tmp_path: Path, declared: str) -> None:
    project = Project(tmp_path, (declared,), kind="parquet")
    for name, kind in zip(
        "abacbad", ("BIGINT", "BIGINT", "INTEGER", "DOUBLE", "VARCHAR", "DOUBLE", "FLOAT"), strict=True
    ):
        path = project.folder / "data" / f"{name}.parquet"
        with duckdb.connect() as connection:
            rows = f"SELECT 1 AS id, TIMESTAMP '2024-02-28 10:00:00' AS at, '5'::{kind} AS amount"
            connection.execute(f"COPY ({rows}) TO '{path}'")
        project.settle(path)
        project.is_as_from_nothing()
    for name in "bc":
        (project.folder / "data" / f"{name}.parquet").unlink()
        project.is_as_from_nothing()


@pytest.mark.parametrize("declared", ["", DECLARED])
def test_json_is_what_it_is_together(tmp_path: Path, declared: str) -> None:
    project = Project(tmp_path, (declared,), kind="json")
    for name, line in (
        ("a", '{"id": 1, "at": "2024-02-28 10:00:00", "amount": 1}'),
        ("b", '{"id": 2, "at": "2024-02-28 10:00:00", "amount": 1.5}'),
        ("c", '{"id": 3, "at": null}'),
        ("a", '{"id": 4, "at": "2024-02-28 10:00:00", "amount": "x"}'),
        ("b", '{"id": 5}'),
        ("c", "[]"),
    ):
        project.write(name, line)
        project.is_as_from_nothing()


def test_an_archive_is_a_file_of_many(tmp_path: Path) -> None:
    project = Project(tmp_path, (DECLARED, "key: [id]"), ending="zip")
    for name, days in (("a", (1, 2)), ("b", (3,)), ("a", (1, 4)), ("b", (4,))):
        path = project.folder / "data" / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for day in days:
                archive.writestr(f"{day}.csv", "\n".join(orders(day, 1, "x")))
        project.settle(path)
        project.is_as_from_nothing()


def test_files_that_change_while_they_are_read_leave_what_was_there(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, read = project.rows(), staged_files.conform
    project.write("new", *orders(29, 5, first=50))

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        project.write("new", *orders(29, 5, 6, first=50))
        return read(*arguments, **named)

    monkeypatch.setattr(staged_files, "conform", meanwhile)
    with pytest.raises(SourceChangedError):
        project.read()
    assert project.rows() == before
    monkeypatch.setattr(staged_files, "conform", read)
    project.is_as_from_nothing()


def test_two_thousand_files_cost_a_new_one_its_own_rows(tmp_path: Path) -> None:
    project = Project(tmp_path, (DECLARED, "key: [id]", TIMED, DAYS))
    for number in range(2_000):
        project.write(f"{number}", *orders(28, 1, first=100 * number))
    started = time.process_time()
    project.read()
    whole, started = time.process_time() - started, time.process_time()
    project.write("new", *orders(28, 1, "x", first=1_000_000))
    contents = project.read()
    assert time.process_time() - started < whole / 2
    assert (contents.stored, contents.quarantined) == (2_001, 1)
    project.is_as_from_nothing()


ROWS = st.lists(
    st.tuples(
        st.integers(1, 500) | st.integers(1, 500) | st.sampled_from(["", "x", "7", "7.0"]),
        st.sampled_from(
            ["2024-02-27 10:00:00", "2024-02-28 10:00:00", "2024-02-29 23:59:59.5", "2024-03-02 13:00:00", "soon", ""]
        ),
        st.sampled_from(["1", "2.5", "3", "", "x", "1,2"]),
    ),
    max_size=4,
)
CHANGES = st.lists(st.dictionaries(st.sampled_from("abcde"), ROWS | st.none(), max_size=3), min_size=1, max_size=5)
FIELDS = st.tuples(
    st.sampled_from(["", DECLARED, DECLARED, f"{DECLARED}\n    contract: evolve"]),
    st.sampled_from(["", "key: [id]", "key: [id, at]"]),
    st.sampled_from(["", TIMED, f"{TIMED}\n    {DAYS}"]),
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=FIELDS, changes=CHANGES, hours=st.sampled_from([0, 1, 2]))
def test_whatever_changes_it_is_as_if_all_were_read_from_nothing(
    fields: tuple[str, ...], changes: list[dict[str, list[tuple[Any, ...]] | None]], hours: int
) -> None:
    with TemporaryDirectory() as name:
        project, now = Project(Path(name), fields), NOW
        project.write("first", "id,at,amount", "0,2024-02-28 10:00:00,1")
        project.read()
        for change in changes:
            note(f"{fields} {change}")
            for file, rows in change.items():
                if rows is None:
                    (project.folder / "data" / f"{file}.csv").unlink(missing_ok=True)
                else:
                    project.write(file, "id,at,amount", *(f"{a},{b},{c}" for a, b, c in rows))
            now += timedelta(hours=hours)
            project.is_as_from_nothing(now)


@pytest.mark.parametrize("name", [PARTITION, PARTITION.upper()])
def test_a_column_of_the_files_that_is_called_as_ours_is_kept_nowhere(tmp_path: Path, name: str) -> None:
    project = Project(tmp_path, (TIMED, DAYS, "key: [id]"))
    project.write("a", f"id,at,{name}", "1,2024-02-28,x", "2,2024-02-29,y")
    project.write("b", f"id,at,{name}", "3,2024-02-29,z", "3,2024-02-29,w")
    assert (project.read().stored, project.read().quarantined) == (3, 1)
    project.write("c", f"id,at,{name}", "4,2024-02-29,v")
    project.is_as_from_nothing()
    assert {key for row in project.rows()[0] for key, _ in row} == {"id", "at"}

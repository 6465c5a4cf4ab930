"""Rows that are in no files: streamed, looked at without being fetched whole, and their faults told by their name."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import Any, Literal

import pyarrow as pa
import pytest

from metaplatform.compute.ingestion import misfits
from metaplatform.errors import DataError
from metaplatform.naming import FILE
from metaplatform.resources.process.secrets import secret
from metaplatform.resources.sources.arrow_rows import batches, text_columns
from metaplatform.resources.sources.row_sources import RowReader, RowSource
from metaplatform.resources.sources.source_reader import Looking, Place, SourceState
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.entities.ingestion import Source

PLACE = Place("/nowhere")
REPOSITORY = Path(__file__).parents[3]


class CountedSource(Source):
    """Whole numbers from 0, in batches of a thousand."""

    kind: Literal["counted"]


class Counted(RowSource[CountedSource]):
    """``fetched`` counts batches asked for; at ``broken`` one cannot be had, those after ``slow_from`` take long."""

    def __init__(
        self,
        count: int,
        broken: int | None = None,
        error: type[BaseException] = ConnectionError,
        slow_from: int | None = None,
    ) -> None:
        self.count, self.broken, self.error, self.slow_from, self.fetched = count, broken, error, slow_from, 0

    def state(self, spec: CountedSource, place: Place) -> SourceState:
        del spec, place
        return SourceState("always")

    def rows(self, spec: CountedSource, place: Place) -> pa.RecordBatchReader:
        del spec, place
        schema = pa.schema([("n", pa.int64()), ("at", pa.timestamp("us", "UTC"))])

        def made() -> Iterator[pa.RecordBatch]:
            for start in range(0, self.count, 1_000):
                if self.fetched == self.broken:
                    raise self.error("the line is dead")
                if self.slow_from is not None and self.fetched > self.slow_from:
                    sleep(0.05)
                self.fetched += 1
                moments = [datetime(2024, 1, 1, tzinfo=UTC)] * 1_000
                yield pa.record_batch([pa.array(range(start, start + 1_000)), pa.array(moments)], schema=schema)

        return pa.RecordBatchReader.from_batches(schema, made())


def counted(**fields: Any) -> CountedSource:
    return CountedSource.model_validate({"kind": "counted", "name": "numbers", **fields})


def test_all_rows_are_read_each_with_what_it_is_from(tmp_path: Path) -> None:
    with Warehouse(root=str(tmp_path)).session() as session:
        read = RowReader(Counted(5_000)).read(session, counted(), PLACE)
        found = session.stream(read.rows).read_all()
    assert sorted(found["n"].to_pylist()) == list(range(5_000))
    assert found["at"].type == pa.timestamp("us", "UTC")
    assert set(found[FILE].to_pylist()) == set(read.names) == {"counted"}
    assert read.rejects is None


def test_a_look_fetches_a_few_batches_of_many_and_counts_moments_only_where_it_has_seen_all(tmp_path: Path) -> None:
    many, few = Counted(10_000_000), Counted(2_000)
    looking = Looking(misfits, 1, tmp_path)
    spec = counted(event_timestamp="at", columns={"n": "tinyint", "at": "timestamptz"})
    look = RowReader(many).look(spec, PLACE, looking)
    assert look.rows == 20_000
    assert many.fetched < 100
    assert look.moments == {}
    assert [(found.kind, found.column, found.rows) for found in look.misfits] == [("type", "n", 20_000 - 128)]
    assert RowReader(few).look(spec, PLACE, looking).moments == {datetime(2024, 1, 1, tzinfo=UTC): 2_000}


@pytest.mark.parametrize("columns", [{"n": "bigint", "at": "timestamptz", "price": "double"}, {"n": "bigint"}])
def test_columns_are_held_against_the_book(tmp_path: Path, columns: dict[str, str]) -> None:
    reader, spec = RowReader(Counted(1_000)), counted(columns=columns)
    with (
        Warehouse(root=str(tmp_path)).session() as session,
        pytest.raises(DataError, match=r"counted: columns (missing: 'price'|not declared: 'at')"),
    ):
        reader.read(session, spec, PLACE)
    assert reader.look(spec, PLACE, Looking(misfits, 1, tmp_path)).headers == {"counted": ("n", "at")}


def test_what_breaks_off_is_an_error_of_the_source_in_its_own_words(tmp_path: Path) -> None:
    with Warehouse(root=str(tmp_path)).session() as session, pytest.raises(DataError) as refused:
        RowReader(Counted(1_000_000, broken=500)).read(session, counted(), PLACE)
    assert (refused.value.owner, refused.value.culprit) == ("raw.numbers", "the line is dead")
    assert refused.value.fix == "see that counted can be read from where runs start"


LEFT_HALF_READ = """
import sys
from pathlib import Path
from tempfile import mkdtemp
from metaplatform.resources.sources.row_sources import RowReader
from metaplatform.resources.sources.source_reader import Looking
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform_tests.resources.sources.test_row_sources import PLACE, Counted, counted, misfits
folder = Path(mkdtemp())
if sys.argv[1] == "look":
    # Slow once enough was fetched: whoever fetches ahead is at it when the process ends.
    many = Counted(50_000_000, slow_from=25)
    assert RowReader(many).look(counted(), PLACE, Looking(misfits, 2, folder)).rows == 20_000
else:
    try:
        with Warehouse(root=str(folder)).session() as session:
            RowReader(Counted(50_000_000, broken=50, error=KeyboardInterrupt)).read(session, counted(), PLACE)
    except KeyboardInterrupt:
        print("asked to stop")
"""


@pytest.mark.parametrize("how", ["look", "interrupt"])
def test_a_process_that_leaves_rows_half_read_ends_as_any_other(how: str) -> None:
    """A stream of Python's that DuckDB has begun would hang it, or abort it with a dump."""
    command = [sys.executable, "-c", LEFT_HALF_READ, how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("asked to stop\n" if how == "interrupt" else "")


def test_rows_made_in_python_come_as_they_are_asked_for() -> None:
    asked: list[int] = []

    def rows() -> Iterator[list[str | None]]:
        for number in range(100_000):
            asked.append(number)
            yield [str(number), None]

    stream = batches(text_columns(["a", "b"]), rows())
    assert not asked
    first = stream.read_next_batch()
    assert first.num_rows == len(asked) < 100_000
    assert first.schema == pa.schema([("a", pa.string()), ("b", pa.string())])
    assert sum(batch.num_rows for batch in stream) == 100_000 - first.num_rows


def test_a_secret_that_is_not_set_is_told_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "s3cr3t")
    assert secret("SHOP_PASSWORD", owner="raw.orders") == "s3cr3t"
    monkeypatch.delenv("SHOP_PASSWORD")
    with pytest.raises(DataError, match="environment variable SHOP_PASSWORD is not set"):
        secret("SHOP_PASSWORD", owner="raw.orders")


def test_a_file_beyond_the_folders_that_sources_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "shop.db").touch()
    (tmp_path / "book" / "link.db").symlink_to(tmp_path / "shop.db")
    for path in ("../shop.db", str(tmp_path / "shop.db"), "link.db"):
        with pytest.raises(DataError, match="leads out of the folders"):
            Place(str(tmp_path / "book")).file(path, owner="raw.orders")
    allowed = Place(str(tmp_path / "book"), [str(tmp_path)])
    assert allowed.file("../shop.db", owner="raw.orders").samefile(tmp_path / "shop.db")
    with pytest.raises(DataError, match=r"there is no file 'gone\.db'"):
        allowed.file("gone.db", owner="raw.orders")

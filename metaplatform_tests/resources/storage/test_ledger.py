"""The loop's records: kept once, read back equal, in order of time."""

import math
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import get_type_hints

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.errors import DataError, StorageError
from metaplatform.resources.storage.ledger import TABLES, Ledger, record_schema
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import Action, Arrival, Decision, Observation, Promotion

MOMENT = datetime(2013, 7, 1, tzinfo=UTC)
DECISION = Decision("d1", "late", "wait", "", "nothing to do", MOMENT)
OBSERVATION = Observation(
    *("o1", "drift", "drift", "late", 3, "data_drift", "", "2013-07"),
    *(0.25, None, 100, "passed", "", MOMENT, "run"),
)
KINDS = [Arrival, Observation, Decision, Promotion, Action]
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Warehouse(root=str(tmp_path)))


def records(kind: type) -> st.SearchStrategy[object]:
    by_type: dict[object, st.SearchStrategy[object]] = {
        str: _TEXT,
        str | None: st.none() | _TEXT,
        int: st.integers(-(2**63), 2**63 - 1),
        int | None: st.none() | st.integers(0, 2**63 - 1),
        float | None: st.none() | st.floats(allow_nan=False, allow_infinity=False),
        datetime: st.datetimes(timezones=st.just(UTC)),
    }
    return st.builds(kind, **{name: by_type[hint] for name, hint in get_type_hints(kind).items()})


def test_a_ledger_without_records_is_empty(ledger: Ledger):
    assert [ledger.read(kind) for kind in KINDS] == [[]] * 5


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_record_has_a_table_and_columns(kind: type):
    assert kind in TABLES
    assert record_schema(kind).names == [field.name for field in fields(kind)]


@settings(max_examples=40)
@given(st.data())
def test_records_come_back_equal(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    kind = data.draw(st.sampled_from(KINDS))
    kept = data.draw(
        st.lists(records(kind), max_size=4, unique_by=lambda record: getattr(record, fields(kind)[0].name))
    )
    ledger = Ledger(Warehouse(root=str(tmp_path_factory.mktemp("root"))))
    assert ledger.append(*kept) == len(kept)
    assert ledger.append(*kept) == 0
    assert sorted(ledger.read(kind), key=repr) == sorted(kept, key=repr)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_says_nothing_now_or_where_an_earlier_release_has_kept_it(
    ledger: Ledger, tmp_path: Path, number: float
):
    ledger.append(replace(OBSERVATION, score=number, threshold=1e308))
    earlier = {field.name: [getattr(OBSERVATION, field.name)] for field in fields(Observation)}
    rows = pa.table(earlier | {"observation_id": ["earlier"], "score": [number]}, schema=record_schema(Observation))
    Warehouse(root=str(tmp_path)).append_new(TABLES[Observation], rows, key="observation_id", metadata={})
    assert [seen.score for seen in ledger.read(Observation)] == [None, None]
    assert {seen.threshold for seen in ledger.read(Observation)} == {1e308, OBSERVATION.threshold}


def test_a_record_is_kept_once_and_never_changed(ledger: Ledger):
    assert ledger.append(DECISION, DECISION) == 1
    assert ledger.append(replace(DECISION, reasons="another")) == 0
    assert ledger.read(Decision) == [DECISION]


def test_records_of_several_kinds_are_kept_at_once(ledger: Ledger):
    assert ledger.append(DECISION, OBSERVATION) == 2
    assert ledger.read(Observation) == [OBSERVATION]


def test_records_are_read_in_order_of_time_then_id(ledger: Ledger):
    later = replace(DECISION, decision_id="a", decided_at=MOMENT + timedelta(microseconds=1))
    same = replace(DECISION, decision_id="d0")
    ledger.append(later)
    ledger.append(DECISION)
    ledger.append(same)
    assert ledger.read(Decision) == [same, DECISION, later]


def test_records_are_filtered_by_equality_also_with_null(ledger: Ledger):
    other = replace(OBSERVATION, observation_id="o2", score=None, column="dep_delay", model_version=4)
    ledger.append(OBSERVATION, other)
    assert ledger.read(Observation, score=None) == [other]
    assert ledger.read(Observation, threshold=None, model_version=3) == [OBSERVATION]
    assert ledger.read(Observation, column="", observation_id="o1") == [OBSERVATION]
    assert ledger.read(Observation, model="unknown") == []


def observed(number: int, monitor: str = "drift", column: str = "") -> Observation:
    moment = MOMENT + timedelta(hours=number % 7)
    return replace(OBSERVATION, observation_id=f"o{number}", monitor=monitor, column=column, observed_at=moment)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.lists(
            st.builds(observed, st.integers(0, 40), st.sampled_from("ab"), st.sampled_from(["", "x"])), max_size=4
        ),
        max_size=6,
    )
)
def test_looks_find_by_a_field_what_a_reading_of_all_finds(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[Observation]]
) -> None:
    ledger = Ledger(Warehouse(root=str(tmp_path_factory.mktemp("root"))))
    for records in commits:
        ledger.append(*records)
        found, verdicts = ledger.by(Observation, "monitor"), ledger.by(Observation, "monitor", column="")
        assert {*found} == {seen.monitor for seen in ledger.read(Observation)}
        for monitor in ("a", "b", "none"):
            assert list(found.of(monitor)) == ledger.read(Observation, monitor=monitor)
            assert list(verdicts.of(monitor)) == ledger.read(Observation, monitor=monitor, column="")


def test_looks_find_all_once_small_files_have_been_written_into_one(ledger: Ledger) -> None:
    for number in range(45):
        ledger.append(observed(number))
        assert len(ledger.by(Observation, "monitor").of("drift")) == number + 1


def test_records_that_nothing_was_added_to_are_not_read_again(ledger: Ledger) -> None:
    ledger.append(observed(1), observed(2, "other"))
    before = {monitor: ledger.by(Observation, "monitor").of(monitor) for monitor in ("drift", "other")}
    ledger.append(observed(3))
    after = ledger.by(Observation, "monitor")
    assert after.of("other") is before["other"]
    assert after.of("drift")[0] is before["drift"][0]


def test_a_filter_by_an_unknown_field_is_an_error(ledger: Ledger):
    with pytest.raises(StorageError, match="no field modle"):
        ledger.read(Decision, modle="late")


def test_times_are_instants_whatever_their_zone(ledger: Ledger):
    ledger.append(replace(DECISION, decided_at=MOMENT.astimezone(timezone(timedelta(hours=2)))))
    assert ledger.read(Decision) == [DECISION]
    assert ledger.read(Decision)[0].decided_at.tzinfo is UTC


def test_a_time_without_zone_is_refused(ledger: Ledger):
    with pytest.raises(DataError, match="give UTC times"):
        ledger.append(replace(DECISION, decided_at=MOMENT.replace(tzinfo=None)))


def test_records_kept_before_a_field_was_added_have_null_there(tmp_path: Path):
    warehouse = Warehouse(root=str(tmp_path))
    old = pa.table({"observation_id": ["o0"], "observed_at": pa.array([MOMENT], pa.timestamp("us", "UTC"))})
    warehouse.append_new(TABLES[Observation], old, key="observation_id", metadata={})
    Ledger(warehouse).append(OBSERVATION)
    assert [record.score for record in Ledger(warehouse).read(Observation)] == [None, 0.25]


def test_the_engine_reads_the_same_records(tmp_path: Path):
    warehouse = Warehouse(root=str(tmp_path))
    Ledger(warehouse).append(OBSERVATION)
    with warehouse.session() as session:
        row = session.stream(session.table("monitoring.observations")).read_all().to_pylist()[0]
    assert row == {field.name: getattr(OBSERVATION, field.name) for field in fields(OBSERVATION)}

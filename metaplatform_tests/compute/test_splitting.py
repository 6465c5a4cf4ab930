import datetime as dt
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.compute.encoding import encode, encoding_query, fit
from metaplatform.compute.splitting import boundary_query, floored, split_bounds, timed_split
from metaplatform.compute.training import in_order
from metaplatform.errors import DataError
from metaplatform.specs.entities.training import TrainingSpec
from metaplatform.specs.fields.duration import Duration

CUT = dt.datetime(2020, 3, 1, tzinfo=dt.UTC)
SPEC = TrainingSpec(window=Duration(seconds=60 * 86_400), holdout=Duration(seconds=10 * 86_400), validation_share=0.25)
DAYS = st.lists(st.integers(-5, 65), max_size=40)


@pytest.fixture(scope="module")
def engine():
    backend = ibis.duckdb.connect()
    backend.raw_sql("SET TimeZone='UTC'")
    yield backend
    backend.disconnect()


def frame_of(engine: Any, days_before_cut: list[int]):
    moments = [CUT - dt.timedelta(days=days) for days in days_before_cut]
    data = {
        "id": pa.array(range(len(moments)), pa.int64()),
        "at": pa.array(moments, pa.timestamp("us", tz="UTC")),
        "x": pa.array([float(days) for days in days_before_cut], pa.float64()),
        "label": pa.array([1.0] * len(moments), pa.float64()),
    }
    return engine.create_table("frame", pa.table(data), overwrite=True)


def split_of(engine: Any, frame: Any, spec: Any = SPEC):
    bounds = split_bounds(spec, cut=CUT)
    query = boundary_query(frame, bounds, event_timestamp="at", validation_share=spec.validation_share)
    return timed_split(spec, bounds, engine.to_pyarrow(query).to_pylist()[0], event_timestamp="at", keys=["id"])


def parts_of(engine: Any, frame: Any, split: Any):
    return [
        engine.to_pyarrow(part(frame))["id"].to_pylist() for part in (split.training, split.validation, split.holdout)
    ]


@settings(max_examples=60)
@given(days=DAYS)
def test_training_validation_and_holdout_follow_each_other_in_time(engine: Any, days: list[int]):
    frame = frame_of(engine, days)
    parts = [sorted(days[place] for place in part) for part in parts_of(engine, frame, split_of(engine, frame))]
    training, validation, holdout = parts
    assert sorted(training + validation) == sorted(day for day in days if 10 < day <= 60)
    assert holdout == sorted(day for day in days if 0 < day <= 10)
    if training and validation and len(set(training + validation)) > 1:
        assert min(training) > max(validation)


@settings(max_examples=30)
@given(days=st.lists(st.integers(11, 60), min_size=2, max_size=40, unique=True))
def test_the_newest_share_validates(engine: Any, days: list[int]):
    frame = frame_of(engine, days)
    training, validation, _ = parts_of(engine, frame, split_of(engine, frame))
    assert training
    assert validation
    assert abs(len(validation) - 0.25 * len(days)) <= 1


def test_most_rows_at_the_first_instant_leave_the_later_ones_to_validate(engine: Any):
    frame = frame_of(engine, [50] * 9 + [40])
    training, validation, _ = parts_of(engine, frame, split_of(engine, frame))
    assert (sorted(training), validation) == (list(range(9)), [9])


def test_rows_of_one_instant_are_split_by_key_the_same_way_each_time(engine: Any):
    frame = frame_of(engine, [50] * 400)
    training, validation, _ = parts_of(engine, frame, split_of(engine, frame))
    assert sorted(training + validation) == list(range(400))
    assert 60 < len(validation) < 140
    again = parts_of(engine, frame.order_by(frame.id.desc()), split_of(engine, frame))
    assert sorted(again[1]) == sorted(validation)


def test_window_and_holdout_begin_on_full_steps():
    spec = TrainingSpec(window=Duration(seconds=5 * 86_400 + 70), holdout=Duration(seconds=90 * 60))
    bounds = split_bounds(spec, cut=CUT, step=dt.timedelta(hours=1))
    assert (bounds.start, bounds.holdout_start, bounds.cut) == (
        CUT - dt.timedelta(days=5, hours=1),
        CUT - dt.timedelta(hours=2),
        CUT,
    )


@given(
    moment=st.datetimes(timezones=st.just(dt.UTC)).filter(lambda moment: moment.year > 1),
    minutes=st.sampled_from([1, 60]),
)
def test_the_step_of_a_moment_holds_it_before_1970_too(moment: dt.datetime, minutes: int):
    step = dt.timedelta(minutes=minutes)
    assert floored(moment, step) <= moment < floored(moment, step) + step
    assert floored(moment, step).second == 0


def test_a_holdout_that_takes_everything_is_an_error():
    with pytest.raises(DataError, match="leaves nothing of a window of"):
        split_bounds(SPEC.model_copy(update={"holdout": SPEC.window}), cut=CUT)


@pytest.mark.parametrize("order", [["id"], ["at", "id"], []])
def test_what_is_learnt_from_is_in_the_order_of_its_keys(engine: Any, order: list[str]):
    frame = frame_of(engine, [3, 1, 2])
    encoding = fit(frame.schema(), ["x"], engine.to_pyarrow(encoding_query(frame, ["x"], max_categories=2)))
    encoded = encode(frame.order_by(frame.id.desc()), encoding, keep=[*order, "label"])
    found = engine.to_pyarrow(in_order(encoded, encoding, order=order))
    assert found.schema.names == ["x", "label"]
    assert found["x"].to_pylist() == {("id",): [3, 1, 2], ("at", "id"): [3, 2, 1], (): [1, 2, 3]}[tuple(order)]

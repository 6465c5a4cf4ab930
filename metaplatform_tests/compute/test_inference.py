import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.inference import Scorer, Share, score, shares
from metaplatform.errors import DataError
from metaplatform.specs.records.encoding import FittedEncoding, FittedFeature
from metaplatform.specs.records.learnt import Learnt

NOW = dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
FEATURES = (FittedFeature("x", "number", "float64"), FittedFeature("kind", "category", "string", ("a", "b")))
STAMPS = ["model_name", "model_version", "run_id", "scored_at"]


def booster_of(objective: str):
    random = np.random.default_rng(0)
    matrix = np.column_stack((random.random(300), random.integers(0, 3, 300))).astype(np.float32)
    data = xgboost.QuantileDMatrix(
        matrix, (matrix[:, 0] > 0.5).astype(float), feature_types=["q", "c"], enable_categorical=True, nthread=1
    )
    return xgboost.train({"objective": objective, "nthread": 1}, data, 5)


def scorer_of(task: str):
    booster = booster_of("binary:logistic" if task == "binary" else "reg:squarederror")
    return booster, Scorer(
        "demand", 3, task, Learnt("xgboost", {"model.ubj": bytes(booster.save_raw("ubj"))}), FittedEncoding(FEATURES)
    )


def rows_of(rows: int):
    random = np.random.default_rng(1)
    x = pa.array(random.random(rows), pa.float32(), mask=random.random(rows) < 0.2)
    kind = pa.array(random.integers(0, 3, rows), mask=random.random(rows) < 0.2).cast(pa.float32())
    keys = pa.array([f"order {number}" for number in range(rows)], pa.string())
    moments = pa.array([NOW] * rows, pa.timestamp("us", tz="UTC"))
    return pa.table({"order": keys, "kind": kind, "at": moments, "x": x})


def scored(table: Any, scorer: Scorer, *, chunk: int = 7):
    return score(table.to_reader(chunk), scorer, run_id="run", scored_at=NOW, threads=1)


@pytest.mark.parametrize(("task", "column"), [("binary", "probability"), ("regression", "prediction")])
def test_rows_keep_their_columns_and_order_and_get_score_and_stamps(task: str, column: str):
    booster, scorer = scorer_of(task)
    table = rows_of(50)
    found = scored(table, scorer).read_all()
    assert found.schema.names == ["order", "at", column, *STAMPS]
    assert found["order"] == table["order"]
    matrix = np.column_stack([table[name].to_numpy() for name in ("x", "kind")]).astype(np.float32)
    np.testing.assert_array_equal(found[column].to_numpy(), booster.inplace_predict(matrix).astype(np.float64))
    stamps = {"model_name": "demand", "model_version": 3, "run_id": "run", "scored_at": NOW}
    assert found.select(STAMPS).slice(0, 1).to_pylist() == [stamps]
    assert all(len(found[name].unique()) == 1 for name in STAMPS)


def test_how_batches_are_cut_does_not_change_a_score():
    _, scorer = scorer_of("binary")
    small, large = (scored(rows_of(50), scorer, chunk=chunk).read_all() for chunk in (3, 50))
    assert small.combine_chunks() == large.combine_chunks()


@pytest.mark.parametrize("batches", [0, 2])
def test_no_rows_give_the_schema_of_some_rows(batches: int):
    _, scorer = scorer_of("binary")
    empty = rows_of(0)
    reader = pa.RecordBatchReader.from_batches(
        empty.schema, [pa.RecordBatch.from_pylist([], schema=empty.schema)] * batches
    )
    found = score(reader, scorer, run_id="run", scored_at=NOW, threads=1)
    assert found.schema == scored(rows_of(5), scorer).schema
    assert found.read_all().num_rows == 0


def test_batches_are_scored_only_as_they_are_asked_for():
    _, scorer = scorer_of("binary")
    read = []

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows_of(30).to_batches(max_chunksize=10):
            read.append(batch.num_rows)
            yield batch

    reader = pa.RecordBatchReader.from_batches(rows_of(0).schema, batches())
    found = score(reader, scorer, run_id="run", scored_at=NOW, threads=1)
    assert read == []
    found.read_next_batch()
    assert read == [10]


def test_a_missing_feature_is_an_error_that_names_it():
    _, scorer = scorer_of("binary")
    with pytest.raises(DataError, match="features kind are not in the rows"):
        scored(rows_of(3).drop_columns(["kind"]), scorer)


@pytest.mark.parametrize("name", ["probability", "run_id"])
def test_a_column_named_like_one_of_the_predictions_is_an_error(name: str):
    _, scorer = scorer_of("binary")
    with pytest.raises(DataError, match=f"columns {name} already"):
        scored(rows_of(3).rename_columns({"order": name}), scorer)


ENDS = st.lists(st.integers(0, 20), min_size=1, max_size=5)


def day(number: int) -> dt.datetime:
    return dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number)


@given(ends=ENDS, start=st.none() | st.integers(0, 20))
def test_each_row_is_scored_by_the_newest_champion_that_has_not_learnt_from_it_and_by_no_other(
    ends: list[int], start: int | None
) -> None:
    champions = [(len(ends) - position, day(end)) for position, end in enumerate(ends)]
    found = shares(champions, None if start is None else day(start))
    assert found[0].version == champions[0][0]
    for moment in range(start or 0, 22):
        free = [version for version, end in champions if end <= day(moment)]
        scorers = [share.version for share in found if holds(share, day(moment))]
        assert scorers == free[:1]


def holds(share: Share, moment: dt.datetime) -> bool:
    return (share.since is None or share.since <= moment) and (share.until is None or moment < share.until)

import itertools
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.compute.matrix import BLOCK_ROWS, blocks
from metaplatform.compute.training import TrainingRefusedError, refit, train
from metaplatform.errors import DataError
from metaplatform.specs.entities.training import PromotionSpec, TargetSpec
from metaplatform.specs.entities.xgboost import XGBoostModel, XGBoostTraining
from metaplatform.specs.fields.duration import Duration

TYPES = {"x": "q", "kind": "c", "noise": "q"}
METRIC = {"binary": "roc_auc", "regression": "rmse"}


def spec_of(task: str = "binary", **training: Any):
    settled = {"min_rows": 10, "rounds": 20, "early_stopping_rounds": 5, **training}
    return XGBoostModel(
        name="demand",
        kind="xgboost",
        task=task,
        feature_set="orders",
        target=TargetSpec(sql="y"),
        training=XGBoostTraining(window=Duration(months=3), holdout=Duration(seconds=86_400), **settled),
        promotion=PromotionSpec(metric=METRIC[task]),
    )


def rows_of(task: str = "binary", *, rows: int = 600, seed: int = 0):
    random = np.random.default_rng(seed)
    x, kind = random.random(rows), random.integers(0, 4, rows)
    value = x + kind / 4 + random.normal(0, 0.1, rows)
    label = (value > 1).astype(float) if task == "binary" else value
    holes = random.random(rows) < 0.1
    columns = {"x": pa.array(x, mask=holes), "kind": kind, "noise": random.random(rows)}
    floats = {name: pa.array(values).cast(pa.float32()) for name, values in columns.items()}
    return pa.table({**floats, "label": pa.array(label)})


def booster_of(model: Any):
    (content,) = model.learnt.files.values()
    return xgboost.Booster(model_file=bytearray(content))


def trained(table: Any, spec: Any, *, chunk: int = 100, seed: int = 0, threads: int = 1, validation: Any = None):
    validation = rows_of(spec.task, rows=200, seed=9) if validation is None else validation
    batches = table.to_batches(max_chunksize=chunk)
    return train(batches, validation.to_batches(), spec, feature_types=TYPES, seed=seed, threads=threads)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_training_learns_the_signal_of_either_task(task: str):
    model = trained(rows_of(task), spec_of(task, rounds=60))
    importance, (history,) = model.fit.importance, model.fit.curves.values()
    assert importance["x"] > importance["noise"]
    assert sum(importance.values()) == pytest.approx(1)
    assert history[model.fit.found["best_iteration"]] == min(history) < history[0] * 0.9
    assert (model.training_rows, model.validation_rows) == (600, 200)


def test_the_booster_ends_with_its_best_round():
    model = trained(rows_of(), spec_of(rounds=200, early_stopping_rounds=3, parameters={"eta": 0.5}))
    booster, best = booster_of(model), model.fit.found["best_iteration"]
    assert len(model.fit.curves["validation_logloss"]) == best + 4
    assert booster.num_boosted_rounds() == best + 1
    assert booster.feature_names == list(TYPES)
    assert booster.feature_types == list(TYPES.values())


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("change", [{"chunk": 7}, {"threads": 2}, {}])
def test_the_same_rows_and_seed_give_the_same_bytes(task: str, change: dict[str, int]):
    spec = spec_of(task, parameters={"subsample": 0.5, "colsample_bytree": 0.7})
    assert trained(rows_of(task), spec).learnt == trained(rows_of(task), spec, **change).learnt


def test_another_seed_gives_another_model():
    spec = spec_of(parameters={"subsample": 0.5})
    assert trained(rows_of(), spec, seed=1).learnt != trained(rows_of(), spec, seed=2).learnt


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(1, 2 * BLOCK_ROWS + 999), max_size=6))
def test_blocks_do_not_depend_on_how_the_batches_were_cut(cuts: list[int]):
    total = 2 * BLOCK_ROWS + 1_000
    values = np.arange(total, dtype=np.float32)
    batch = pa.record_batch({"x": values, "label": values.astype(np.float64)})
    edges = [0, *sorted(cuts), total]
    pieces = [batch.slice(start, end - start) for start, end in itertools.pairwise(edges)]
    found = list(blocks(pieces, ["x"]))
    assert [len(labels) for _, labels in found] == [BLOCK_ROWS, BLOCK_ROWS, 1_000]
    assert np.array_equal(np.concatenate([matrix[:, 0] for matrix, _ in found]), values)
    assert np.array_equal(np.concatenate([labels for _, labels in found]), values)


def test_a_single_constant_feature_trains_a_model_that_says_the_mean():
    table = rows_of("regression").append_column("flat", pa.array(np.zeros(600, np.float32)))
    nulls = pa.nulls(600, pa.float32())
    table = table.append_column("empty", nulls)
    types = {"flat": "q", "empty": "c"}
    model = train(table.to_batches(), table.to_batches(), spec_of("regression"), feature_types=types, seed=0, threads=1)
    booster = booster_of(model)
    scores = booster.inplace_predict(np.array([[0, np.nan]], np.float32))
    assert scores[0] == pytest.approx(np.mean(table["label"].to_numpy()), abs=1e-2)
    assert set(model.fit.importance) == {"flat", "empty"}


def labelled(labels: Any):
    return rows_of(rows=len(labels)).set_column(3, "label", pa.array(labels, pa.float64()))


@pytest.mark.parametrize(
    ("table", "validation", "changes", "message"),
    [
        (rows_of(), None, {"min_rows": 801}, "800 labelled rows to train on, 801 are needed"),
        (rows_of(rows=0), None, {}, "0 rows to train on and 200 validation rows"),
        (rows_of(), rows_of(rows=0), {}, "600 rows to train on and 0 validation rows"),
        (labelled([1.0] * 50), None, {}, "all 50 training labels are 1: one class only"),
        (labelled([0.0] * 50), None, {}, "all 50 training labels are 0: one class only"),
        (labelled([0.0, 1.0, math.nan] * 20), None, {}, "20 of 260 labels are not numbers up to 9"),
        (labelled([0.0, 1.0, 1e300] * 20), None, {}, "20 of 260 labels are not numbers up to 9"),
        (labelled([0.0, 1.0, 2.0] * 20), None, {}, "20 of 260 labels are neither 0 nor 1"),
        (rows_of(), None, {"parameters": {"max_dpth": 3}}, "max_dpth"),
        (rows_of(), None, {"parameters": {"max_depth": "deep"}}, "expect int but value='deep'"),
        (rows_of(), None, {"parameters": {"max_bin": "many"}}, "max_bin"),
        (rows_of(), None, {"parameters": {"objective": "guess"}}, "Unknown objective function: `guess`"),
        (rows_of(), None, {"parameters": {"booster": "gblinear"}}, "gblinear|Not implemented"),
        (rows_of(), None, {"parameters": {"device": "cuda"}}, "No visible GPU"),
    ],
)
def test_rows_or_parameters_that_cannot_train_are_an_error_that_names_the_model(
    table: Any, validation: Any, changes: dict[str, Any], message: str
):
    with pytest.raises(DataError, match=message) as caught:
        trained(table, spec_of(**changes), validation=validation)
    assert caught.value.owner == "models.demand"
    assert "Stack trace" not in str(caught.value)
    assert len(caught.value.fix) > 10


@pytest.mark.parametrize("label", [1e308, 1e38, 1e19, math.inf, math.nan])
def test_a_label_of_the_holdout_that_cannot_be_squared_refuses_the_refit_as_it_would_the_training(label: float):
    table, spec = labelled([0.0, 1.0, label] * 20), spec_of("regression")
    with pytest.raises(TrainingRefusedError, match="20 of 60 labels are not numbers"):
        refit(table.to_batches(), spec, found={"best_iteration": 1}, feature_types=TYPES, seed=0, threads=1)


def test_the_largest_labels_that_train_give_finite_scores():
    table = labelled([-9.2e18, 9.2e18] * 60)
    model = trained(table, spec_of("regression"), validation=table)
    assert all(math.isfinite(value) for value in model.fit.curves["validation_rmse"])
    booster = booster_of(model)
    matrix = np.column_stack([table[name].to_numpy() for name in TYPES]).astype(np.float32)
    assert np.isfinite(booster.inplace_predict(matrix)).all()


def test_one_class_of_validation_labels_is_no_hindrance():
    assert trained(rows_of(), spec_of(), validation=labelled([1.0] * 50)).learnt.files


def test_other_objectives_of_the_task_may_be_asked_for():
    table = rows_of("regression")
    model = trained(table, spec_of("regression", parameters={"objective": "reg:absoluteerror", "eval_metric": "mae"}))
    assert list(model.fit.curves) == ["validation_mae"]


def test_the_seed_of_the_call_wins_over_that_of_the_parameters():
    spec = spec_of(parameters={"subsample": 0.5, "seed": 7})
    plain = spec_of(parameters={"subsample": 0.5})
    assert trained(rows_of(), spec, seed=1).learnt == trained(rows_of(), plain, seed=1).learnt

"""What XGBoost, MLflow, DuckDB and Ibis do that the model modules rely on, or work around."""

import warnings
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
import xgboost


def matrix_of(rows: int = 400, *, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    features = np.column_stack((random.random(rows), random.integers(0, 4, rows))).astype(np.float32)
    return features, (features[:, 0] + features[:, 1] / 4 > 0.8).astype(float)


def boosted(features: Any, labels: Any, rounds: int = 8, **parameters: Any) -> Any:
    data = xgboost.QuantileDMatrix(features, labels, feature_types=["q", "c"], enable_categorical=True, nthread=1)
    settings = {"objective": "binary:logistic", "nthread": 1, "seed": 1, **parameters}
    return xgboost.train(settings, data, rounds, verbose_eval=False)


def test_xgboost_gives_the_same_bytes_with_any_number_of_threads():
    features, labels = matrix_of()
    models = {bytes(boosted(features, labels, nthread=threads, subsample=0.5).save_raw("ubj")) for threads in (1, 2)}
    assert len(models) == 1


def test_the_order_of_the_rows_changes_an_xgboost_model():
    """The reason why training rows are sorted by key."""
    features, labels = matrix_of()
    sampled = {"subsample": 0.5}
    forward, backward = (
        boosted(features, labels, **sampled),
        boosted(features[::-1].copy(), labels[::-1].copy(), **sampled),
    )
    assert bytes(forward.save_raw("ubj")) != bytes(backward.save_raw("ubj"))


def test_a_sliced_booster_predicts_as_its_first_rounds_and_keeps_its_names():
    """The reason why a bundle needs no best iteration beside the booster."""
    features, labels = matrix_of()
    booster = boosted(features, labels)
    booster.feature_names = ["x", "kind"]
    sliced = booster[:3]
    assert np.array_equal(sliced.inplace_predict(features), booster.inplace_predict(features, iteration_range=(0, 3)))
    assert sliced.feature_names == ["x", "kind"]
    loaded = xgboost.Booster(model_file=bytearray(sliced.save_raw("ubj")))
    assert np.array_equal(loaded.inplace_predict(features), sliced.inplace_predict(features))


def test_a_code_never_seen_at_training_gets_a_finite_score():
    """The code of other categories may be new to the booster."""
    booster = boosted(*matrix_of())
    scores = booster.inplace_predict(np.array([[0.5, 4], [0.5, 4_000], [0.5, np.nan]], np.float32))
    assert np.isfinite(scores).all()


def test_inplace_prediction_equals_prediction_from_a_matrix():
    features, labels = matrix_of()
    booster = boosted(features, labels)
    data = xgboost.DMatrix(features, feature_types=["q", "c"], enable_categorical=True)
    assert np.array_equal(booster.inplace_predict(features), booster.predict(data))


@pytest.mark.parametrize(
    ("parameters", "text"), [({"max_dpth": 3}, "max_dpth"), ({"device": "cuda"}, "No visible GPU")]
)
def test_xgboost_only_warns_of_what_it_ignores(parameters: dict[str, Any], text: str):
    """The reason why parameters are tried on four rows, and the warnings read."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        boosted(*matrix_of(), verbosity=1, **parameters)
    assert any(text in str(warning.message) for warning in heard)


def test_mlflow_looks_for_logged_models_in_its_global_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The reason why a version's source is the address of its files, not ``models:/<id>``."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    from metaplatform.resources.models.model_registry import ModelRegistry

    ModelRegistry(tracking_uri=f"sqlite:///{tmp_path}/own.db", artifact_root=str(tmp_path)).ensure()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    ModelRegistry(tracking_uri=f"sqlite:///{tmp_path}/other.db", artifact_root=str(tmp_path)).ensure()
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/own.db", registry_uri=f"sqlite:///{tmp_path}/own.db")
    experiment = client.create_experiment("one", artifact_location=tmp_path.as_uri())
    logged = client.create_logged_model(experiment, name="m")
    client.create_registered_model("m")
    with pytest.raises(MlflowException, match="Unable to fetch model"):
        client.create_model_version("m", source=f"models:/{logged.model_id}", model_id=logged.model_id)
    client.create_model_version("m", source=logged.artifact_location)
    client.set_registered_model_alias("m", "champion", "1")
    assert client.get_model_version_by_alias("m", "champion").aliases == ["champion"]
    # The reason why aliases of a search are filled in from the registered model.
    assert client.search_model_versions("name='m'")[0].aliases == []


def test_mlflow_takes_no_integers_for_double_and_anything_for_any():
    """The reason why integer features have the type ``any`` in a signature."""
    import pandas as pd
    from mlflow.exceptions import MlflowException
    from mlflow.models.utils import _enforce_schema
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    frame = pd.DataFrame({"x": [1, 2]})
    with pytest.raises(MlflowException, match="x"):
        _enforce_schema(frame, Schema([ColSpec("double", "x", required=False)]))
    free: Any = AnyType()
    assert _enforce_schema(frame, Schema([ColSpec(free, "x", required=False)]))["x"].tolist() == [1, 2]


def test_a_join_with_unique_categories_keeps_the_rows_it_joins():
    backend = ibis.duckdb.connect()
    rows = backend.create_table("rows", pa.table({"text": ["a", None, "b", "a", "new"]}))
    lookup = ibis.memtable(pa.table({"category": ["a", "b"], "code": [0, 1]}))
    joined = rows.left_join(lookup, rows.text == lookup.category).select("text", "code")
    found = sorted(backend.to_pyarrow(joined).to_pylist(), key=str)
    assert found == sorted(
        [{"text": text, "code": code} for text, code in (("a", 0), ("a", 0), ("b", 1), (None, None), ("new", None))],
        key=str,
    )
    backend.disconnect()


def test_duckdb_counts_nan_as_greater_than_any_number():
    """One comparison with the largest float turns away NaN, too."""
    backend = ibis.duckdb.connect()
    assert backend.con.sql("select abs('nan'::double) <= 3e38, abs('-inf'::double) <= 3e38").fetchall() == [
        (False, False)
    ]
    backend.disconnect()


def test_a_second_ibis_reader_of_a_connection_takes_the_first_ones_result():
    """The reason why readers come from cursors of their own (the warehouse's session, the benchmarks)."""
    import duckdb

    backend = ibis.duckdb.connect()
    rows = backend.create_table("rows", pa.table({"x": [1, 2]}))
    first, second = (rows.filter(rows.x == value).to_pyarrow_batches() for value in (1, 2))
    assert first.read_all()["x"].to_pylist() == [2]
    with pytest.raises(duckdb.InvalidInputException, match="no query result"):
        second.read_all()
    backend.disconnect()

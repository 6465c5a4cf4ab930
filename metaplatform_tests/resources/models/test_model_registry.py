import datetime as dt
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from metaplatform.compute.serving import _load_pyfunc
from metaplatform.errors import RegistryError
from metaplatform.resources.models.mlflow_places import put_places_right
from metaplatform.resources.models.model_bundle import Judged, ModelBundle, TrainingLineage
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.models.model_version import ModelVersion
from metaplatform.resources.models.root_restoring import restore_registry
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.encoding import FittedEncoding, FittedFeature
from metaplatform.specs.records.learnt import Learnt
from metaplatform.specs.records.ledger import Promotion

MARCH = dt.datetime(2020, 3, 1, tzinfo=dt.UTC)
FEATURES = (
    FittedFeature("price", "number", "float64"),
    FittedFeature("pieces", "number", "int64"),
    FittedFeature("kind", "category", "string", ("a", "b")),
    FittedFeature("ordered", "time", "timestamp('UTC', 6)"),
)


def lineage_of(cut: dt.datetime = MARCH) -> TrainingLineage:
    return TrainingLineage(
        trained_from=cut - dt.timedelta(days=60),
        trained_until=cut - dt.timedelta(days=10),
        holdout_from=cut - dt.timedelta(days=10),
        cut=cut,
        training_rows=100,
        validation_rows=20,
        holdout_rows=10,
        excluded_rows=3,
        unlabelled_rows=2,
        spec_hash="abc",
        seed=7,
        inputs={"features.orders": 4},
    )


def bundle_of(cut: dt.datetime = MARCH, *, seed: int = 0) -> ModelBundle:
    random = np.random.default_rng(seed)
    data = xgboost.QuantileDMatrix(
        random.random((200, 4), dtype=np.float32),
        random.random(200),
        feature_names=[f.name for f in FEATURES],
        nthread=1,
    )
    booster = xgboost.train({"max_depth": 2, "nthread": 1}, data, 3)
    return ModelBundle(
        learnt=Learnt("xgboost", {"model.ubj": bytes(booster.save_raw("ubj"))}),
        encoding=FittedEncoding(FEATURES, MARCH),
        task="regression",
        target="qty",
        lineage=lineage_of(cut),
        metrics={"rmse": 0.5, "r2": None},
        reference={"columns": {"price": [1, 2, 3]}},
    )


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make MLflow's tables once: it takes seconds."""
    folder = tmp_path_factory.mktemp("registry")
    ModelRegistry(tracking_uri=f"sqlite:///{folder}/mlflow.db", artifact_root=str(folder / "mlartifacts")).ensure()
    return folder / "mlflow.db"


@pytest.fixture
def registry(tmp_path: Path, empty_database: Path) -> ModelRegistry:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return ModelRegistry(
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        artifact_root=str(tmp_path / "mlartifacts"),
        ui_url="http://127.0.0.1:5000/",
    )


def add(registry: ModelRegistry, model: str = "demand", **changes: Any) -> ModelVersion:
    settings: dict[str, Any] = {
        "params": {"max_depth": 2},
        "metrics": {"rmse": 0.5, "r2": None, "validation_rmse": [3.0, 2.0, 1.0]},
        "tags": {"dagster.run_id": "run"},
        "inputs": [("features.orders", 4), ("raw.orders", 9)],
        "bundle": bundle_of(),
        **changes,
    }
    return registry.new_version(model, settings.pop("bundle"), **settings)


def client_of(registry: ModelRegistry) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=registry.tracking_uri, registry_uri=registry.tracking_uri)


def test_a_new_version_is_the_challenger_and_knows_its_window(registry: ModelRegistry):
    version = add(registry)
    assert (version.model, version.version, version.aliases) == ("demand", 1, ("challenger",))
    lineage = lineage_of()
    found = (version.trained_from, version.trained_until, version.cut)
    assert found == (lineage.trained_from, lineage.trained_until, lineage.cut)
    assert version.url == "http://127.0.0.1:5000/#/models/demand/versions/1"
    assert version.tags["dagster.run_id"] == "run"
    assert registry.champion("demand") is None
    assert registry.challenger("demand") == version


def test_a_model_never_trained_has_no_versions(registry: ModelRegistry):
    assert registry.versions("demand") == ()
    assert registry.champion("demand") is None
    assert registry.challenger("demand") is None
    with pytest.raises(RegistryError, match=r"models.demand: there is no version 1. .*: none"):
        registry.version("demand", 1)
    with pytest.raises(RegistryError, match="there is no version 1"):
        registry.promote("demand", 1)
    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.rollback("demand")


def test_a_reading_of_all_versions_says_what_mlflow_says_of_each(registry: ModelRegistry):
    assert registry.registered().versions("demand") == ()
    for _ in range(3):
        add(registry)
    add(registry, "supply")
    registry.promote("demand", 1)
    registry.promote("demand", 2)
    client_of(registry).delete_model_version("demand", "1")
    found = registry.registered()
    for model in ("demand", "supply", "none"):
        assert found.versions(model) == registry.versions(model)
        assert found.champion(model) == registry.champion(model)
        assert [found.version(model, number) for number in range(5)] == [
            next((each for each in registry.versions(model) if each.version == number), None) for number in range(5)
        ]
    assert registry.definitions(found.versions("supply")[0]) == bundle_of().lineage.definitions


def test_a_reading_is_made_again_only_when_somebody_has_changed_something(registry: ModelRegistry):
    add(registry)
    first = registry.registered()
    assert registry.registered() is first
    # As a person does in MLflow's UI.
    client_of(registry).set_registered_model_alias("demand", "champion", "1")
    second = registry.registered()
    assert (first.champion("demand"), second.champion("demand")) == (None, registry.champion("demand"))
    database = Path(registry.tracking_uri.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM registered_model_aliases")
    assert registry.registered().champion("demand") is None


def test_a_version_by_another_hand_hinders_the_looks_at_its_own_model_alone(registry: ModelRegistry):
    add(registry)
    registry.promote("demand", 1)
    client = client_of(registry)
    client.create_registered_model("other")
    client.create_model_version("other", source=registry.version("demand", 1).source)
    found = registry.registered()
    assert found.champion("demand") == registry.champion("demand")
    with pytest.raises(RegistryError, match="was not made by this platform"):
        found.versions("other")


def test_another_database_in_the_place_of_one_is_seen(registry: ModelRegistry, empty_database: Path):
    add(registry)
    assert registry.registered().versions("demand")
    database = Path(registry.tracking_uri.removeprefix("sqlite:///"))
    shutil.copy(empty_database, database.with_suffix(".new"))
    database.with_suffix(".new").replace(database)
    assert registry.registered().versions("demand") == ()


def test_a_bundle_comes_back_as_it_was(registry: ModelRegistry):
    bundle = bundle_of()
    version = add(registry, bundle=bundle)
    assert registry.load("demand", 1) == bundle
    assert version.tags["metaplatform.digest"] == bundle.digest


def test_a_bundle_is_read_once_a_process(registry: ModelRegistry):
    add(registry)
    assert registry.load("demand", 1) is registry.load("demand", 1)


def test_what_the_registry_says_is_asked_again_once_anybody_has_changed_it(registry: ModelRegistry):
    version = add(registry)
    seen = registry.versions("demand")
    assert registry.versions("demand") is seen
    registry.promote("demand", version.version)
    assert registry.versions("demand") is not seen
    champion = registry.champion("demand")
    assert champion is not None
    assert champion.version == version.version
    client_of(registry).delete_registered_model_alias("demand", "champion")
    assert registry.champion("demand") is None


def test_nothing_of_a_version_is_pickled(registry: ModelRegistry):
    add(registry)
    names = {path.suffix for path in Path(registry.artifact_root).rglob("*") if path.is_file()}
    assert names <= {".ubj", ".json", ".txt", ".yaml", "", ".lock"}


def test_the_run_is_finished_and_holds_parameters_metrics_and_inputs(registry: ModelRegistry):
    version = add(registry, params={f"p{number}": "x" * 7_000 for number in range(120)})
    client = client_of(registry)
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert len(run.data.params) == 120
    assert run.data.metrics == {"rmse": 0.5, "validation_rmse": 1.0}
    assert [point.value for point in client.get_metric_history(version.run_id, "validation_rmse")] == [3.0, 2.0, 1.0]
    read = {found.dataset.name: found.dataset.digest for found in run.inputs.dataset_inputs}
    assert read == {"features.orders": "version 4", "raw.orders": "version 9"}
    assert client.get_experiment(run.info.experiment_id).name == "metaplatform/demand"


def test_a_failed_attempt_ends_failed_and_leaves_the_champion(registry: ModelRegistry):
    add(registry)
    registry.promote("demand", 1)
    with pytest.raises(Exception, match="JSON"):
        add(registry, bundle=replace(bundle_of(), metrics={"rmse": float("nan")}))
    client = client_of(registry)
    experiment = client.get_experiment_by_name("metaplatform/demand")
    statuses = sorted(run.info.status for run in client.search_runs([experiment.experiment_id]))
    assert statuses == ["FAILED", "FINISHED"]
    assert [version.aliases for version in registry.versions("demand")] == [("champion",)]


def test_promotion_moves_the_alias_and_again_changes_nothing(registry: ModelRegistry):
    add(registry)
    add(registry)
    registry.promote("demand", 1)
    assert [version.aliases for version in registry.versions("demand")] == [("champion",), ("challenger",)]
    for _ in range(2):
        registry.promote("demand", 2)
        assert [version.aliases for version in registry.versions("demand")] == [(), ("champion",)]
    champion = registry.champion("demand")
    assert champion is not None
    assert champion.version == 2
    assert registry.rollback("demand").version == 1


def test_rollback_goes_back_champion_by_champion(registry: ModelRegistry):
    for _ in range(3):
        add(registry)
    for version in (1, 3, 2):
        registry.promote("demand", version)
    assert [registry.rollback("demand").version for _ in range(2)] == [3, 1]
    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.rollback("demand")
    assert registry.versions("demand")[0].aliases == ("champion",)


def test_rollback_to_a_named_version_can_itself_be_undone(registry: ModelRegistry):
    for _ in range(3):
        add(registry)
    registry.promote("demand", 2)
    registry.promote("demand", 3)
    assert registry.rollback("demand", to=1).version == 1
    assert registry.rollback("demand").version == 3
    with pytest.raises(RegistryError, match=r"there is no version 9. .*: 1, 2, 3"):
        registry.rollback("demand", to=9)


def test_an_alias_moved_by_hand_is_part_of_the_history(registry: ModelRegistry):
    for _ in range(3):
        add(registry)
    registry.promote("demand", 1)
    client_of(registry).set_registered_model_alias("demand", "champion", "2")
    registry.promote("demand", 3)
    assert [registry.rollback("demand").version for _ in range(2)] == [2, 1]


def test_threads_that_register_at_once_do_not_meet(registry: ModelRegistry):
    failures: list[BaseException] = []

    def work(model: str) -> None:
        try:
            add(registry, model)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"model{number % 2}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [[found.version for found in registry.versions(f"model{number}")] for number in range(2)] == [[1, 2, 3]] * 2
    import mlflow

    assert mlflow.active_run() is None


def test_processes_may_make_the_database_at_once(tmp_path: Path):
    code = (
        "import sys; from metaplatform.resources.models.model_registry import ModelRegistry; root = sys.argv[1];"
        "registry = ModelRegistry(tracking_uri=f'sqlite:///{root}/mlflow.db', artifact_root=f'{root}/mlartifacts');"
        "assert registry.champion('demand') is None"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]


@pytest.mark.parametrize("damage", ["remove", "cut"])
def test_a_damaged_bundle_is_an_error_that_names_its_place(registry: ModelRegistry, damage: str):
    add(registry)
    path = next(Path(registry.artifact_root).rglob("encoding.json"))
    path.unlink() if damage == "remove" else path.write_text("{}")
    with pytest.raises(RegistryError, match="cannot be read") as caught:
        registry.load("demand", 1)
    assert str(path.parent) in str(caught.value)


def test_a_bundle_that_is_gone_is_an_error(registry: ModelRegistry):
    add(registry)
    shutil.rmtree(registry.artifact_root)
    with pytest.raises(RegistryError, match="cannot be read"):
        registry.load("demand", 1)


def test_a_version_of_another_hand_is_an_error_that_says_so(registry: ModelRegistry):
    add(registry)
    client_of(registry).create_model_version("demand", source="file:///elsewhere")
    with pytest.raises(RegistryError, match="version 2 was not made by this platform"):
        registry.versions("demand")


def test_a_version_serves_raw_features_as_pyfunc(registry: ModelRegistry):
    import mlflow.pyfunc

    bundle = bundle_of()
    version = add(registry, bundle=bundle)
    served = mlflow.pyfunc.load_model(version.source)
    frame = pd.DataFrame(
        {
            "price": [1.5, None],
            "pieces": [2, 3],
            "kind": ["b", None],
            "ordered": pd.to_datetime(["2020-03-01 00:01:00", None]),
        }
    )
    booster = xgboost.Booster(model_file=bytearray(bundle.learnt.files["model.ubj"]))
    matrix = np.array([[1.5, 2, 1, 60], [np.nan, 3, np.nan, np.nan]], np.float32)
    np.testing.assert_array_equal(served.predict(frame)["prediction"], booster.inplace_predict(matrix).astype(float))
    assert served.predict(frame.head(0)).columns.tolist() == ["prediction"]


def test_the_signature_refuses_a_wrong_type(registry: ModelRegistry):
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    served = mlflow.pyfunc.load_model(add(registry).source)
    with pytest.raises(MlflowException, match="kind"):
        served.predict(pd.DataFrame({"price": [1.0], "pieces": [1], "kind": [1.0], "ordered": [pd.Timestamp(0)]}))


def test_the_requirements_are_written_down(registry: ModelRegistry):
    add(registry, requirements=["xgboost"])
    text = next(Path(registry.artifact_root).rglob("requirements.txt")).read_text()
    assert {"metaplatform", "mlflow", "xgboost"} <= {line.split("==")[0] for line in text.split()}


def test_lineage_survives_json_in_utc():
    lineage = replace(lineage_of(), cut=MARCH.astimezone(dt.timezone(dt.timedelta(hours=-5))))
    values = json.loads(json.dumps(lineage.to_json()))
    assert values["cut"] == "2020-03-01T00:00:00+00:00"
    assert TrainingLineage.from_json(values) == lineage


def test_a_bundle_of_before_versions_were_refitted_is_read():
    values = lineage_of().to_json()
    del values["holdout_from"]
    assert TrainingLineage.from_json(values) == lineage_of()


def test_a_bundle_of_before_there_were_other_kinds_of_models_is_read_and_served(tmp_path: Path):
    bundle = replace(bundle_of(), refitted_from=bundle_of(seed=3).judged)
    bundle.write(tmp_path / "bundle")
    told = tmp_path / "bundle" / "spec.json"
    values = json.loads(told.read_text())
    assert (values.pop("kind"), values.pop("files")) == ("xgboost", ["model.ubj"])
    told.write_text(json.dumps(values))
    assert set(values) == {"task", "target", "score_column", "features"}
    assert sorted(str(found.relative_to(told.parent)) for found in told.parent.rglob("*.*")) == [
        *("encoding.json", "judged/encoding.json", "judged/model.ubj", "lineage.json", "metrics.json"),
        *("model.ubj", "reference.json", "spec.json"),
    ]
    read = ModelBundle.read(told.parent)
    assert (read, read.digest) == (bundle, bundle.digest)
    frame = pd.DataFrame({"price": [1.5], "pieces": [2], "kind": ["b"], "ordered": [pd.Timestamp("2020-03-01")]})
    assert _load_pyfunc(str(told.parent)).predict(frame)["prediction"].between(0, 1).all()


def test_what_was_learnt_takes_no_place_in_a_bundle_but_its_own(tmp_path: Path):
    for number, name in enumerate(("spec.json", "../model.json")):
        bundle = replace(bundle_of(), learnt=Learnt("ridge", {name: b"{}"}))
        with pytest.raises(RegistryError, match=f"'{name}' cannot be the name"):
            bundle.write(tmp_path / str(number))


def test_a_refitted_version_keeps_what_was_judged_beside_what_scores(registry: ModelRegistry):
    judged = bundle_of(seed=3)
    lineage = replace(lineage_of(), trained_until=MARCH)
    bundle = replace(bundle_of(), lineage=lineage, refitted_from=judged.judged)
    version = registry.new_version("demand", bundle, params={}, metrics={}, tags={})
    assert (version.refitted, version.trained_until, version.labelled_rows) == (True, MARCH, 130)
    assert version.holdout_from == lineage_of().holdout_from
    loaded = registry.load("demand", version.version)
    assert (loaded.learnt, loaded.judged) == (bundle.learnt, judged.judged)
    assert bundle_of().judged == Judged(bundle_of().learnt, bundle_of().encoding)


def test_the_digest_tells_models_apart_and_nothing_else():
    bundle = bundle_of()
    assert bundle.digest == replace(bundle, metrics={}, lineage=lineage_of(MARCH - dt.timedelta(days=1))).digest
    assert bundle.digest != bundle_of(seed=1).digest
    assert bundle.digest != replace(bundle, encoding=FittedEncoding(FEATURES)).digest


def registry_below(folder: Path, empty_database: Path | None = None) -> ModelRegistry:
    if empty_database is not None:
        folder.mkdir()
        shutil.copy(empty_database, folder / "mlflow.db")
    return ModelRegistry(tracking_uri=f"sqlite:///{folder}/mlflow.db", artifact_root=str(folder / "mlartifacts"))


def test_a_root_that_was_moved_keeps_its_versions_and_takes_new_ones(tmp_path: Path, empty_database: Path) -> None:
    """Of two models, one name the beginning of the other: no address is taken for another's."""
    first, moved = tmp_path / "first", tmp_path / "the second root"
    registry = registry_below(first, empty_database)
    for model in ("sales", "sales2"):
        add(registry, model)
        registry.promote(model, 1)
    first.rename(moved)
    second = registry_below(moved)
    for model in ("sales", "sales2"):
        champion = second.champion(model)
        assert champion is not None
        assert champion.source.startswith(moved.as_uri())
        assert second.load(model, 1).digest == bundle_of().digest
        assert add(second, model, bundle=bundle_of(seed=1)).version == 2
        assert second.load(model, 2).digest == bundle_of(seed=1).digest
    with closing(sqlite3.connect(moved / "mlflow.db")) as database:
        assert str(first) not in "\n".join(database.iterdump())


def test_an_experiment_that_mlflow_has_placed_where_a_process_was_started_lies_with_the_others(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    client = client_of(registry)
    for name in ("metaplatform/monitoring", "theirs"):
        made = client.create_experiment(name)
        client.create_run(made)
    put_places_right(tmp_path / "mlflow.db", tmp_path / "mlartifacts", experiment="metaplatform")
    placed = {found.name: str(found.artifact_location) for found in client.search_experiments()}
    assert placed["metaplatform/monitoring"] == f"{(tmp_path / 'mlartifacts').as_uri()}/monitoring"
    (run,) = client.search_runs([client.get_experiment_by_name("metaplatform/monitoring").experiment_id])
    assert run.info.artifact_uri == f"{placed['metaplatform/monitoring']}/{run.info.run_id}/artifacts"
    assert placed["theirs"].endswith("mlruns/2")
    registry.ensure_experiment("more")
    assert client.get_experiment_by_name("metaplatform/more").artifact_location.endswith("/mlartifacts/more")


def test_places_that_are_right_and_places_of_others_are_left_alone(registry: ModelRegistry, tmp_path: Path) -> None:
    add(registry)
    database = tmp_path / "mlflow.db"

    def everything() -> list[str]:
        with closing(sqlite3.connect(database)) as connection:
            return list(connection.iterdump())

    with closing(sqlite3.connect(database)) as changed, changed:
        changed.execute("INSERT INTO experiments (name, artifact_location) VALUES ('mine', 's3://bucket/mine')")
    before = everything()
    assert put_places_right(database, tmp_path / "mlartifacts", experiment="metaplatform") == 0
    assert everything() == before


def state_of(registry: ModelRegistry, model: str) -> list[Any]:
    """Return what of a model's versions is to survive the loss of the database."""
    client = client_of(registry)
    found = []
    for version in registry.versions(model):
        run = client.get_run(version.run_id)
        names = [*run.data.metrics]
        series = {name: [point.value for point in client.get_metric_history(run.info.run_id, name)] for name in names}
        read = {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs}
        known = (version.version, version.aliases, version.tags, version.trained_from, version.cut)
        found.append((*known, series, run.data.params, run.info.status, read, registry.load(model, version.version)))
    return [found, [version.version for version in registry.champions(model)]]


def restored_elsewhere(registry: ModelRegistry, root: Path) -> tuple[ModelRegistry, list[str]]:
    """Copy the models' files below ``root``, restore the database there, and return the registry and what was told."""
    shutil.copytree(registry.artifact_root, root / "mlartifacts", dirs_exist_ok=True)
    return registry_below(root), restore_registry(root)


def test_a_lost_database_is_made_anew_beside_the_files_of_the_versions(registry: ModelRegistry, tmp_path: Path) -> None:
    """With aliases as a promotion, a refusal and a rollback left them, and with the curves of the trainings."""
    for seed in range(4):
        add(registry, bundle=bundle_of(seed=seed), tags={"metaplatform/decision": f"decided {seed}"})
    for version in (1, 2, 3):
        registry.promote("demand", version)
    registry.rollback("demand")
    add(registry, "returns")
    lost = tmp_path / "lost"
    second, told = restored_elsewhere(registry, lost)
    assert [state_of(second, model) for model in ("demand", "returns")] == [
        state_of(registry, model) for model in ("demand", "returns")
    ]
    assert told[0].endswith("it is gone, but the files of 5 model versions are in mlartifacts")
    assert told[1:3] == [
        "models.demand: restored 4 versions (1, 2, 3, 4); champion is version 2",
        "models.returns: restored 1 version (1); there is no champion",
    ]
    assert "metrics that monitors logged over time" in told[3]
    assert second.rollback("demand").version == 1
    assert add(second).version == 5
    assert restore_registry(lost) == [f"{lost / 'mlflow.db'}: it can be read, and is left as it is"]


def verdict_on(version: int, outcome: str = "promoted") -> Promotion:
    return Promotion(
        f"p{version}", "demand", version, None, outcome, "rmse", None, 0.5, None, None, 10, "", MARCH, f"run {version}"
    )


def without_records(root: Path) -> None:
    """Take away what an earlier release did not keep beside the files of the versions."""
    for path in (*root.glob("*/models/*/version.json"), *root.glob("*/standing.json")):
        path.unlink()


def test_versions_of_an_earlier_release_are_restored_from_their_bundles_and_the_ledger(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    for seed in range(3):
        add(registry, bundle=bundle_of(seed=seed))
    without_records(Path(registry.artifact_root))
    lost = tmp_path / "lost"
    Ledger(Warehouse(root=str(lost))).append(verdict_on(1), verdict_on(2), verdict_on(3, "kept"))
    second, _ = restored_elsewhere(registry, lost)
    found = second.versions("demand")
    assert [version.aliases for version in found] == [(), ("champion",), ("challenger",)]
    assert [version.tags["dagster.run_id"] for version in found] == ["run 1", "run 2", "run 3"]
    assert [second.load("demand", number + 1).digest for number in range(3)] == [
        bundle_of(seed=seed).digest for seed in range(3)
    ]
    assert second.rollback("demand").version == 1


def test_a_version_whose_files_are_gone_keeps_its_number_to_itself(registry: ModelRegistry, tmp_path: Path) -> None:
    for _ in range(3):
        add(registry)
    registry.promote("demand", 3)
    shutil.rmtree(Path(str(registry.version("demand", 2).source).removeprefix("file://")).parent)
    lost = tmp_path / "lost"
    Ledger(Warehouse(root=str(lost))).append(*(verdict_on(number) for number in (1, 2, 3)))
    second, told = restored_elsewhere(registry, lost)
    assert [version.version for version in second.versions("demand")] == [1, 3]
    assert "models.demand: cannot restore 2: no files of theirs are in mlartifacts" in told
    assert add(second).version == 4


def test_files_that_may_be_of_either_version_are_given_to_none(registry: ModelRegistry, tmp_path: Path) -> None:
    for _ in range(2):
        add(registry)
    without_records(Path(registry.artifact_root))
    shutil.rmtree(next(Path(registry.artifact_root).glob("demand/models/*")))
    lost = tmp_path / "lost"
    Ledger(Warehouse(root=str(lost))).append(verdict_on(1), verdict_on(2))
    with pytest.raises(
        RegistryError, match=r"which of the versions 1, 2 are the files of 1 folder in .* cannot be told"
    ):
        restored_elsewhere(registry, lost)
    assert not (lost / "mlflow.db").exists()


def test_a_damaged_database_is_kept_beside_the_one_that_is_made_anew(registry: ModelRegistry, tmp_path: Path) -> None:
    add(registry)
    lost = tmp_path / "lost"
    lost.mkdir()
    (lost / "mlflow.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(RegistryError, match=f"make it again: `metaplatform root restore {lost}`"):
        registry_below(lost).ensure()
    second, _ = restored_elsewhere(registry, lost)
    assert [version.version for version in second.versions("demand")] == [1]
    assert (lost / "mlflow.db.damaged").read_bytes().startswith(b"garbage")

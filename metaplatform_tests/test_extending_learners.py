"""A kind of model from outside the package works like the one that comes with it: linear models, in plain numpy."""

import json
import re
import sqlite3
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metaplatform.specs.entities.families import own_fields
from metaplatform.specs.entities.training import ModelSpec, TrainingSpec
from metaplatform.specs.entities.xgboost import XGBoostModel
from metaplatform_tests.extended import Project

HERE = Path(__file__).parent
INSTALLED = HERE / "extending_learners"
BOOK = """\
spec_version: 2
sources:
  orders:
    kind: csv
    path: data/*.csv
    columns: {id: bigint, at: timestamptz, price: double, shop: varchar, days: double, late: boolean}
    key: [id]
    event_timestamp: at
    outcomes: {columns: [days, late], delay: 1 day}
    partitions: {every: month, start: 2024-01}
feature_sets:
  order_features:
    spine: raw.orders
    features: [{kind: expression, columns: {price: price, shop: shop}}]
defaults:
  models:
    feature_set: order_features
    training: {window: 2 months, holdout: 20 days, min_rows: 100, max_categories: 2}
    retrain: {cooldown: 6 months}
models:
  lateness:
    kind: linear
    task: binary
    target: {sql: late}
    promotion: {metric: roc_auc, min_rows: 100}
  delay:
    kind: linear
    penalties: [5, 0.5]
    task: regression
    target: {sql: days}
    promotion: {metric: rmse, min_rows: 100}
predictions:
  late_orders: {model: lateness}
  delays: {model: delay}
"""
BY_XGBOOST = BOOK.replace("lateness:\n    kind: linear", "lateness:\n    kind: xgboost")
ASSETS = """
import json, sys
from pathlib import Path
from metaplatform.composition import load_definitions
graph = load_definitions({"METAPLATFORM_BOOK": "metadata"}, Path(".")).resolve_asset_graph()
kinds = {key.to_user_string(): sorted(graph.get(key).kinds) for key in graph.get_all_asset_keys()}
print(json.dumps([kinds, sorted({"acme_linear.learner", "xgboost", "mlflow"} & sys.modules.keys())]))
"""
SERVED = """
import json, sys
from pathlib import Path
import deltalake, mlflow.pyfunc
from metaplatform.composition import platform_resources
from metaplatform.specs.book.deployment import Deployment
registry = platform_resources(Deployment(book=Path("metadata"), root=Path(".metaplatform").resolve()))["registry"]
stored = lambda table: deltalake.DeltaTable(f".metaplatform/warehouse/{table}").to_pandas().set_index("id")
features = stored("features/order_features")
def apart(model, table, column):
    scored = stored(f"predictions/{table}")
    served = mlflow.pyfunc.load_model(registry.champion(model).source)
    again = served.predict(features.loc[scored.index, ["price", "shop"]])[column]
    return len(scored), float((again - scored[column]).abs().max()), float(scored[column].std())
found = apart("lateness", "late_orders", "probability"), apart("delay", "delays", "prediction")
print(json.dumps([found, "xgboost" in sys.modules]))
"""


def orders(month: str, first: int, rows: int = 400) -> pd.DataFrame:
    """Return orders that are late where they are dear in one shop, and where they are cheap in the others."""
    random = np.random.default_rng(first)
    price, shop = random.gamma(2, 10, rows), random.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2])
    dear = (price > 20) == (shop == "a")
    at = pd.Timestamp(f"{month}-01", tz="UTC") + pd.to_timedelta(
        np.sort(random.integers(0, 28 * 86_400, rows)), unit="s"
    )
    days = 2 + 0.3 * price + 4 * (shop == "b") + random.normal(0, 0.5, rows)
    late = np.where(random.random(rows) < 0.1, ~dear, dear) | (price > 50)
    price[::17] = np.nan
    return pd.DataFrame(
        {"id": range(first, first + rows), "at": at, "price": price, "shop": shop, "days": days, "late": late}
    )


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("linear")
    (folder / "metadata").mkdir()
    (folder / "data").mkdir()
    for number, month in enumerate(("2024-01", "2024-02", "2024-03", "2024-04")):
        orders(month, number * 1_000).to_csv(folder / "data" / f"{month}.csv", index=False)
    project = Project(folder, (INSTALLED,))
    project.edit(BOOK)
    project.platform("validate", "--with-data")
    project.platform("replay")
    return project


def versions(project: Project, model: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(project.platform("versions", model, "--json"))
    return found


def test_it_is_trained_and_promoted_and_nothing_is_stale_once_it_has_scored(replayed: Project) -> None:
    assert json.loads(replayed.platform("plan", "--json"))["changes"] == []
    for model in ("lateness", "delay"):
        (version,) = versions(replayed, model)
        assert version["aliases"] == ["champion"]
        assert version["promotion"]["outcome"] == "promoted"
    # Half of it is the noise that was added.
    assert version["metrics"]["rmse"] < 1
    assert "version 1 was promoted" in replayed.platform("decisions", "delay")


def test_mlflow_serves_the_scores_that_were_stored_and_asks_for_what_is_installed(replayed: Project) -> None:
    found, with_xgboost = json.loads(replayed.run(SERVED).splitlines()[-1])
    for rows, apart, spread in found:
        assert rows == 800
        assert apart < 1e-12
        assert spread > 0.1
    assert not with_xgboost
    for written in (replayed.folder / ".metaplatform" / "mlartifacts").rglob("requirements.txt"):
        assert "acme-linear==1.0" in written.read_text().split()
        assert "xgboost" not in written.read_text()


def test_what_is_logged_are_its_settings_what_was_found_and_each_step(replayed: Project) -> None:
    (path,) = (replayed.folder / ".metaplatform" / "mlartifacts" / "delay").glob("models/*/version.json")
    kept = json.loads(path.read_text())
    assert kept["params"]["penalties"] == [5.0, 0.5]
    assert kept["params"]["penalty"] in {5.0, 0.5}
    assert len(kept["metrics"]["validation_error"]) == 2


def test_dagster_shows_its_kind_and_definitions_load_without_its_learner(replayed: Project) -> None:
    kinds, heavy = json.loads(replayed.run(ASSETS).splitlines()[-1])
    assert kinds["models/lateness"] == ["linear", "mlflow"]
    assert kinds["predictions/delays"] == ["deltalake", "linear"]
    assert heavy == []


def test_the_book_as_tables_holds_it_and_gives_it_back(replayed: Project) -> None:
    url = f"sqlite:///{replayed.folder / 'book.db'}"
    replayed.platform("book", "push", "--to", url)
    with sqlite3.connect(replayed.folder / "book.db") as database:
        found = database.execute("SELECT name, kind, training_window, rounds, settings FROM ML_Models").fetchall()
    assert [row[:4] for row in found] == [(name, "linear", "2 months", None) for name in ("lateness", "delay")]
    assert [json.loads(row[4]) for row in found] == [{"penalties": [0.1, 1.0, 10.0]}, {"penalties": [5.0, 0.5]}]
    before = replayed.platform("plan", "--json")
    replayed.platform("book", "pull", "--to", url, "--book", "pulled")
    assert replayed.platform("plan", "--json", "--book", "pulled") == before


def test_its_own_rules_speak_with_the_others_and_without_it_the_kind_is_unknown(replayed: Project) -> None:
    project = replayed.copy("faulty")
    project.edit(BOOK.replace("[5, 0.5]", "[5, 0]").replace("metric: rmse", "metric: roc_auc"))
    told = project.platform("validate", fails=True)
    assert "book.yaml:28:20: error: models.delay: a penalty of 0 bounds no weight [no-penalty]" in told
    assert "[wrong-metric]" in told
    bare = replace(project, installed=())
    assert "models.delay: kind: 'linear' is not allowed here" in bare.platform("validate", fails=True)


def test_another_kind_takes_its_place_by_one_edit_of_the_book(replayed: Project) -> None:
    project = replayed.copy("edited")
    project.edit(BY_XGBOOST)
    (change,) = (
        each for each in json.loads(project.platform("plan", "--json"))["changes"] if each["action"] == "retrain"
    )
    assert change["differences"] == [{"path": "kind", "old": "linear", "new": "xgboost"}]
    project.platform("apply", "--yes")
    first, second = versions(project, "lateness")
    assert (first["aliases"], second["aliases"]) == ([], ["champion"])
    assert second["promotion"]["champion_version"] == 1, "both were judged on the same rows"
    assert second["promotion"]["challenger_score"] > second["promotion"]["champion_score"] + 0.1
    kinds, _ = json.loads(project.run(ASSETS).splitlines()[-1])
    assert (kinds["models/lateness"], kinds["models/delay"]) == (["mlflow", "xgboost"], ["linear", "mlflow"])


def test_a_champion_whose_kind_is_no_longer_installed_is_told_of_and_not_asked(replayed: Project) -> None:
    project = replace(replayed.copy("without"), installed=())
    project.edit(BY_XGBOOST.replace("kind: linear\n    penalties: [5, 0.5]", "kind: xgboost"))
    project.platform("apply", "--yes", "--only", "models.delay")
    _, second = versions(project, "delay")
    assert second["promotion"]["champion_version"] is None
    assert "version 1, is a 'linear' model, a kind that is not installed" in second["promotion"]["reasons"]


def test_the_guide_shows_it_as_it_is_and_it_imports_what_is_public() -> None:
    guide = (HERE.parent / "docs" / "extending.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r'```python\n"""(acme_linear/\w+\.py)"""\n(.*?)```', guide, re.DOTALL))
    assert shown == {
        str(path.relative_to(INSTALLED)): path.read_text(encoding="utf-8").partition("\n")[2]
        for path in (INSTALLED / "acme_linear").glob("*.py")
    }
    imported = re.findall(r"^from (metaplatform[\w.]*)", "\n".join(shown.values()), re.MULTILINE)
    assert set(imported) == {"metaplatform.kinds", "metaplatform.kinds.learning"}
    points = tomllib.loads(re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)[1])["project"]["entry-points"]
    installed = (INSTALLED / "acme_linear-1.0.dist-info" / "entry_points.txt").read_text(encoding="utf-8")
    assert points == {
        group: dict(line.split(" = ") for line in lines.split("\n") if line)
        for group, lines in re.findall(r"\[(.*)\]\n([^\[]*)", installed)
    }


def test_a_field_of_the_platform_that_holds_more_in_such_a_kind_is_kept_whole() -> None:
    class Training(TrainingSpec):
        penalty: float = 1.0

    class Linear(ModelSpec):
        training: Training
        steps: int = 25

    assert own_fields(XGBoostModel) == frozenset()
    Linear.__module__ = Training.__module__ = "acme_linear"
    assert own_fields(Linear) == {"training", "steps"}

"""Overlays change what the book defines for one environment, and nothing else."""

from pathlib import Path

from metaplatform.specs.loading import read_book
from metaplatform_tests.specs.language.books import SHOP, VERSION, read, sound, told, write_book

PARAMETERS = "parameters:\n  rounds: {type: integer, default: 50}\n"
USES = SHOP.replace("2 weeks}", '2 weeks, rounds: "${rounds}"}')


def test_an_overlay_changes_keys_and_null_removes_them(tmp_path: Path) -> None:
    overlay = """\
parameters:
  rounds: {default: 500}
defaults:
  predictions: {keep: [amount]}
models:
  returns:
    training: {window: 1 year, seed: 9}
sources:
  orders: {path: s3/orders.csv, outcomes: {delay: 2 days}, key: [order_id, channel]}
monitors:
  returns_performance: {metrics: {roc_auc: {min: null, max_loss: 0.1}}}
"""
    text = USES.replace("target: {sql: returned}", "target: {sql: returned}\n    label_delay: 5 days")
    manifest = sound(tmp_path, VERSION + PARAMETERS, text, overlay=overlay)
    training = manifest.models["returns"].training
    assert (str(training.window), str(training.holdout), training.rounds, training.seed) == (
        "1 year",
        "2 weeks",
        500,
        9,
    )
    assert manifest.sources["orders"].key == ("order_id", "channel")
    assert manifest.predictions["order_returns"].keep == ("amount",)
    limit = manifest.monitors["returns_performance"].model_dump()["metrics"]["roc_auc"]
    assert limit == {"min": None, "max": None, "max_loss": 0.1}
    assert manifest.locations["models.returns"].file == "metadata/b.yaml"


def test_null_takes_the_defaults_of_a_chapter_away(tmp_path: Path) -> None:
    text = VERSION + "defaults: {models: {description: all}, sources: {description: all}}\n" + SHOP
    manifest = sound(tmp_path, text, overlay="defaults: {models: null}\n")
    assert [manifest.models["returns"].description, manifest.sources["orders"].description] == ["", "all"]


def test_without_its_name_an_overlay_changes_nothing(tmp_path: Path) -> None:
    plain = sound(tmp_path / "one", VERSION + PARAMETERS, USES)
    sound(tmp_path / "two", VERSION + PARAMETERS, USES, overlay="models: {returns: {training: {seed: 9}}}\n")
    again, _ = read_book(tmp_path / "two" / "metadata")
    assert again is not None
    assert again.entities == plain.entities


def test_the_environments_variables_stand_over_its_overlay(tmp_path: Path) -> None:
    overlay = "parameters: {rounds: {default: 500}}\n"
    variables = {"METAPLATFORM_PARAMETER_ROUNDS": "5"}
    manifest = sound(tmp_path, VERSION + PARAMETERS, USES, overlay=overlay, variables=variables)
    assert manifest.models["returns"].training.rounds == 5


def test_faults_of_an_overlay_stand_in_the_overlay(tmp_path: Path) -> None:
    overlay = """\
parameters:
  round: {default: 3}
models:
  return: {task: binary}
  returns:
    training: {windw: 1 day, rounds: many}
    target:
      sql: retrned
sources:
  orders: 3
model: {}
spec_version: 2
"""
    _, issues = read(tmp_path, VERSION + PARAMETERS, USES, overlay=overlay)
    assert told(issues) == [
        ("environments/prod.yaml:2:3", "unknown-name", "round", "rounds"),
        ("environments/prod.yaml:4:3", "unknown-name", "return", "returns"),
        ("environments/prod.yaml:6:16", "unknown-key", "windw", "window"),
        ("environments/prod.yaml:6:38", "wrong-type", "many", None),
        ("environments/prod.yaml:8:12", "unknown-column", "retrned", "returned"),
        ("environments/prod.yaml:10:3", "wrong-type", "orders", None),
        ("environments/prod.yaml:11:1", "unknown-chapter", "model", "models"),
        ("environments/prod.yaml:12:1", "unknown-chapter", "spec_version", None),
    ]


def test_sql_of_an_overlay_is_judged_in_the_overlay(tmp_path: Path) -> None:
    overlay = "models:\n  returns:\n    target:\n      sql: |\n        not\n        retrned\n"
    _, issues = read(tmp_path, VERSION + SHOP, overlay=overlay)
    assert told(issues) == [("environments/prod.yaml:6:9", "unknown-column", "retrned", "returned")]


def test_a_null_that_removes_a_required_key_makes_it_missing(tmp_path: Path) -> None:
    _, issues = read(tmp_path, VERSION + SHOP, overlay="models: {returns: {target: null, taks: null}}\n")
    assert told(issues) == [
        ("environments/prod.yaml:1:34", "unknown-key", "taks", "task"),
        ("metadata/a.yaml:17:3", "missing-key", "target", None),
    ]


def test_an_environment_without_a_file_tells_those_there_are(tmp_path: Path) -> None:
    files = {
        "metadata/a.yaml": VERSION + SHOP,
        "environments/prod.yaml": "",
        "environments/test.yml": "",
        "environments/below/dev.yaml": "",
    }
    book = write_book(tmp_path, files)
    assert read_book(book, environment="prod")[0] is not None
    manifest, issues = read_book(book, environment="prd")
    assert manifest is None
    assert [(issue.rule, issue.nearest, issue.fix) for issue in issues] == [
        ("unknown-environment", "prod", "name one of: prod, test")
    ]
    assert read_book(book, environment="../metadata/a")[1][0].rule == "unknown-environment"


def test_an_overlay_that_is_no_yaml_is_told_and_one_not_chosen_is_not_read(tmp_path: Path) -> None:
    manifest, issues = read(tmp_path, VERSION + SHOP, overlay="models: [")
    assert manifest is None
    assert [(issue.rule, str(issue.location)) for issue in issues] == [("yaml-syntax", "environments/prod.yaml:2:1")]
    assert read_book(tmp_path / "metadata") != (None, ())
    assert read_book(tmp_path / "metadata")[1] == ()


def test_a_name_laid_over_twice_is_an_error(tmp_path: Path) -> None:
    overlay = "models: {returns: {task: binary}}\nx-between: 1\nmodels: {returns: {task: regression}}\n"
    _, issues = read(tmp_path, VERSION + SHOP, overlay=overlay)
    assert told(issues) == [("environments/prod.yaml:3:10", "duplicate-name", "returns", None)]

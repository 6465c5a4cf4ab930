"""Defaults lie below every entity of their chapter, whatever file they stand in."""

from pathlib import Path

from metaplatform.specs.entities.csv_source import CsvSource
from metaplatform.specs.entities.monitoring import DriftMonitor
from metaplatform_tests.specs.language.books import SHOP, VERSION, read, sound, told


def test_mappings_merge_and_scalars_and_lists_are_replaced(tmp_path: Path) -> None:
    defaults = """\
defaults:
  sources:
    owners: [team:sales]
    outcomes: {delay: 9 days}
  models:
    training: {window: 1 month, rounds: 50, parameters: {eta: 0.2, max_depth: 3}}
    retrain: {cooldown: 3 days}
"""
    manifest = sound(tmp_path, VERSION + SHOP, defaults)
    returns, orders = manifest.models["returns"], manifest.sources["orders"]
    assert (str(returns.training.window), returns.training.rounds) == ("2 quarters", 50)
    assert returns.training.parameters == {"eta": 0.2, "max_depth": 3}
    assert returns.retrain is not None
    assert orders.owners == ("team:sales",)
    assert orders.outcomes is not None
    assert str(orders.outcomes.delay) == "1 day"


def test_null_takes_a_default_away(tmp_path: Path) -> None:
    text = SHOP.replace("promotion: {metric: roc_auc}", "promotion: {metric: roc_auc}\n    retrain: null")
    text = text.replace("holdout: 2 weeks}", "holdout: 2 weeks, rounds: null}")
    defaults = "defaults:\n  models:\n    retrain: {cooldown: 1 day}\n    training: {rounds: 50, seed: 5}\n"
    returns = sound(tmp_path, VERSION + defaults + text).models["returns"]
    assert returns.retrain is None
    assert (returns.training.rounds, returns.training.seed) == (300, 5)


def test_a_default_that_this_kind_does_not_know_is_skipped_for_it(tmp_path: Path) -> None:
    defaults = """\
defaults:
  sources: {kind: csv, null_values: [NA], contract: evolve}
  monitors: {drift_share: 0.9, min_rows: 50}
"""
    others = "sources:\n  a: {path: a.csv}\n  b: {kind: parquet, path: b.parquet}\n"
    manifest = sound(tmp_path, VERSION + defaults, SHOP, others)
    first, second = manifest.sources["a"], manifest.sources["b"]
    assert isinstance(first, CsvSource)
    assert first.null_values == ("NA",)
    assert (second.contract, type(second).__name__) == ("evolve", "ParquetSource")
    drift, performance = manifest.monitors["returns_drift"], manifest.monitors["returns_performance"]
    assert isinstance(drift, DriftMonitor)
    assert (drift.drift_share, drift.min_rows, performance.min_rows) == (0.9, 50, 50)


def test_keys_and_values_of_defaults_are_checked_once_at_their_place(tmp_path: Path) -> None:
    defaults = """\
defaults:
  sources: {null_value: [NA]}
  models:
    training:
      windw: 3 months
      rounds: many
  monitors: {min_rows: 0}
  model: {task: binary}
  outputs: 3
"""
    _, issues = read(tmp_path, VERSION + defaults, SHOP, SHOP.replace("orders:", "orders2:")[: SHOP.index("feature_")])
    assert told(issues) == [
        ("metadata/a.yaml:3:13", "unknown-key", "null_value", "null_values"),
        ("metadata/a.yaml:6:7", "unknown-key", "windw", "window"),
        ("metadata/a.yaml:7:15", "wrong-type", "many", None),
        ("metadata/a.yaml:8:24", "invalid-value", "0", None),
        ("metadata/a.yaml:9:3", "unknown-chapter", "model", "models"),
        ("metadata/a.yaml:10:3", "wrong-type", "outputs", None),
    ]


def test_defaults_without_any_entity_are_checked_too(tmp_path: Path) -> None:
    _, issues = read(tmp_path, VERSION + "defaults:\n  reactions: {notify: [{kind: flie}], on_backfil: true}\n", SHOP)
    assert told(issues) == [
        ("metadata/a.yaml:3:31", "unknown-kind", "flie", "file"),
        ("metadata/a.yaml:3:39", "unknown-key", "on_backfil", "on_backfill"),
    ]


def test_what_an_entity_may_still_put_right_is_no_fault_of_the_default(tmp_path: Path) -> None:
    defaults = """\
defaults:
  sources: {partitions: {every: month, start: 2024-01}}
  models: {retrain: {drift: {monitors: [returns_drift], failures: 2}}}
"""
    text = SHOP.replace(
        "    promotion: {metric: roc_auc}",
        "    promotion: {metric: roc_auc}\n    retrain: {cooldown: 1 day, drift: {of: 3}}",
    )
    assert sound(tmp_path, VERSION + defaults + text).models["returns"].retrain is not None


def test_the_same_default_may_be_given_twice_but_not_two(tmp_path: Path) -> None:
    first = "defaults:\n  models: {training: {rounds: 50, seed: 1}}\n"
    second = "defaults:\n  models: {training: {rounds: 60, seed: 1}}\n"
    _, issues = read(tmp_path, VERSION + SHOP, first, second)
    assert told(issues) == [("metadata/c.yaml:2:23", "conflicting-default", "rounds", None)]
    assert "metadata/b.yaml:2:23" in issues[0].message
    assert sound(tmp_path, VERSION + SHOP, first, first)


def test_a_fault_of_an_entity_that_comes_of_a_default_stands_at_the_default(tmp_path: Path) -> None:
    text = SHOP.replace("target: {sql: returned}", "target: {}").replace(
        "kind: drift, ", "kind: drift, exclude: [prise], "
    )
    _, issues = read(tmp_path, VERSION + text, "defaults:\n  models:\n    target: {sql: retrned}\n")
    assert told(issues) == [
        ("metadata/a.yaml:27:42", "unknown-feature", "prise", "price"),
        ("metadata/b.yaml:3:19", "unknown-column", "retrned", "returned"),
    ]


def test_an_entity_without_a_body_takes_the_defaults(tmp_path: Path) -> None:
    text = "defaults:\n  sources: {kind: csv, path: a.csv}\nsources:\n  a:\n  b: 3\n"
    _, issues = read(tmp_path, VERSION + text)
    assert told(issues) == [("metadata/a.yaml:6:3", "wrong-type", "b", None)]


def test_defaults_that_would_swell_the_book_are_refused(tmp_path: Path) -> None:
    many = "".join(f"  s{number}: {{kind: csv, path: a}}\n" for number in range(2_000))
    wide = ", ".join(f"t{number}: v" for number in range(600))
    _, issues = read(tmp_path, f"{VERSION}defaults:\n  sources: {{tags: {{{wide}}}}}\nsources:\n{many}")
    assert [issue[1] for issue in told(issues)] == ["book-too-large"]

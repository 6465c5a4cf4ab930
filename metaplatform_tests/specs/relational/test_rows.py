"""A book and its rows mean the same; nothing that a book can say is lost."""

import itertools
import random
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.errors import MetaplatformError
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book
from metaplatform.specs.relational.reading import snapshot_of_rows
from metaplatform.specs.relational.rows import Rows, rows_of
from metaplatform.specs.snapshot_changes import canonical_snapshot, snapshot_changes
from metaplatform.specs.snapshots import snapshot_of
from metaplatform_tests.scenario import write_project
from metaplatform_tests.specs.relational.any_books import manifests

ROOT = Path(__file__).parents[3]


def tables_of(manifest: Manifest) -> Rows:
    tables: Rows = {}
    for table, rows in itertools.chain.from_iterable(found.items() for found in rows_of(manifest).values()):
        tables.setdefault(table, []).extend(rows)
    return tables


def as_lists(snapshot: Any) -> Any:
    """Return mappings as lists of pairs, so that their order counts."""
    if isinstance(snapshot, dict):
        return [(key, as_lists(value)) for key, value in snapshot.items()]
    return [as_lists(value) for value in snapshot] if isinstance(snapshot, list | tuple) else snapshot


@given(manifests(), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_any_book_comes_back_from_its_rows_in_whatever_order_they_are_read(
    manifest: Manifest, chance: random.Random
) -> None:
    tables = tables_of(manifest)
    for rows in tables.values():
        chance.shuffle(rows)
    snapshot, issues = snapshot_of_rows(tables)
    assert issues == ()
    assert as_lists(canonical_snapshot(snapshot)) == as_lists(snapshot_of(manifest))


@pytest.mark.parametrize("which", ["default", "shop"])
def test_a_shipped_book_comes_back_from_its_rows(which: str, tmp_path: Path) -> None:
    manifest = load_book(ROOT / "metadata" if which == "default" else write_project(tmp_path))
    snapshot, issues = snapshot_of_rows(tables_of(manifest))
    assert issues == ()
    assert as_lists(canonical_snapshot(snapshot)) == as_lists(snapshot_of(manifest))


def test_a_feature_whose_window_is_edited_alone_becomes_a_block_of_its_own(tmp_path: Path) -> None:
    book = (
        (write_project(tmp_path) / "shop.yaml")
        .read_text()
        .replace(
            "columns: {returned_lately: avg(returned::integer)}",
            "columns: {a: count(*), b: max(amount), c: min(amount)}",
        )
    )
    tables = tables_of(
        load_book(write_project(tmp_path, book=book.replace("exclude: [returned_lately]", "exclude: [a]")))
    )
    row = next(row for row in tables["Feature_Engineering"] if row["name"] == "b")
    row["block_window"] = "7 days"
    snapshot, issues = snapshot_of_rows(tables)
    assert issues == ()
    windows = [each for each in snapshot["feature_sets"]["order_features"]["features"] if each["kind"] == "window"]
    assert [(each["window"], [*each["columns"]], each["on"]) for each in windows] == [
        ("2 weeks", ["a"], {"channel": "channel"}),
        ("7 days", ["b"], {"channel": "channel"}),
        ("2 weeks", ["c"], {"channel": "channel"}),
    ]


def test_rows_that_belong_nowhere_or_are_there_twice_are_issues(tmp_path: Path) -> None:
    tables = tables_of(load_book(write_project(tmp_path)))
    tables["Promotion_Policies"].append({"model": "nobody", "metric": "rmse"})
    tables["Entity_Owners"] = [{"entity": "nothing", "ordinal": 0, "owner_name": "team:a"}]
    tables["Feature_Engineering"].append({**tables["Feature_Engineering"][-1], "ordinal": 99})
    tables["Feature_Joins"].append(
        {"feature_set": "no_set", "block": 0, "ordinal": 0, "spine_column": "a", "table_column": "b"}
    )
    _, issues = snapshot_of_rows(tables)
    assert {(issue.rule, issue.owner, issue.culprit) for issue in issues} == {
        ("orphan-row", "models.nobody", "Promotion_Policies"),
        ("orphan-row", "nothing", "Entity_Owners"),
        ("orphan-row", "features.no_set", "Feature_Joins"),
        ("duplicate-name", "features.order_features", "returned_lately"),
    }


def test_rows_of_a_list_that_there_is_not_are_issues_and_never_left_out_in_silence(tmp_path: Path) -> None:
    tables = tables_of(load_book(write_project(tmp_path)))
    tables["Retrain_Monitors"][0]["vote"] = "accuracy"
    tables["Model_Features"] = [{"model": "returns", "enabled": "perhaps", "ordinal": 0, "feature": "price"}]
    _, issues = snapshot_of_rows(tables)
    assert [(issue.rule, issue.owner, issue.message) for issue in issues] == [
        (
            "unknown-value",
            "models.returns",
            "Model_Features.enabled is 'perhaps', which is not one of: true, false",
        ),
        (
            "unknown-value",
            "models.returns",
            "Retrain_Monitors.vote is 'accuracy', which is not one of: drift, performance",
        ),
    ]


def test_a_policy_whose_row_is_gone_is_told_by_the_rows_that_are_left(tmp_path: Path) -> None:
    tables = tables_of(load_book(write_project(tmp_path)))
    tables["Retrain_Policies"] = []
    snapshot, issues = snapshot_of_rows(tables)
    assert [issue.message for issue in issues] == [
        "Retrain_Monitors has rows of 'models.returns', Retrain_Policies has none"
    ]
    assert "retrain" not in snapshot["models"]["returns"]


@pytest.mark.parametrize(("described", "told"), [("a\0b", "character"), ("\ud800", "character")])
def test_a_text_that_no_database_keeps_is_refused_by_name(described: str, told: str, tmp_path: Path) -> None:
    manifest = load_book(write_project(tmp_path))
    model = manifest.models["returns"].model_copy(update={"description": described})
    with pytest.raises(MetaplatformError, match=rf"models.returns: ML_Models.description .*{told}"):
        rows_of(Manifest(root="/", models={"returns": model}))


def test_a_change_names_its_fields_with_their_values_before_and_after(tmp_path: Path) -> None:
    before = snapshot_of(load_book(write_project(tmp_path)))
    book = (
        (tmp_path / "metadata" / "shop.yaml")
        .read_text()
        .replace("rounds: 40", "rounds: 41")
        .replace("when: probability > 0.5", "when: probability > 0.6")
    )
    changes = snapshot_changes(before, snapshot_of(load_book(write_project(tmp_path, book=book))))
    told = [
        (change.ref, change.kind, *((field.path, field.before, field.after) for field in change.fields))
        for change in changes
    ]
    assert told == [
        ("models.returns", "changed", ("training.rounds", 40, 41)),
        ("reactions.call_customers", "changed", ("when", "probability > 0.5", "probability > 0.6")),
    ]
    assert snapshot_changes(before, before) == ()
    assert get_args(type(changes[0]).__annotations__["kind"]) == ("added", "changed", "removed")

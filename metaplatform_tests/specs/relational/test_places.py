"""A fault of a book in a database is told at its table, row and column, and corrected there."""

from pathlib import Path

import pytest

from metaplatform.specs.loading import load_book
from metaplatform.specs.relational.layout import ENTITY_TABLES, LIST_TABLES, PART_TABLES
from metaplatform.specs.relational.places import Cell, TablePlaces, cell_of
from metaplatform.specs.snapshots import Snapshot, read_snapshot, snapshot_of
from metaplatform_tests.scenario import write_project


def test_every_column_is_the_cell_of_its_own_value() -> None:
    for table in ENTITY_TABLES:
        for column in table.columns:
            assert cell_of(table.chapter, column.path) == Cell(table.name, column.name)
    for part in PART_TABLES:
        assert cell_of(part.chapter, part.path) == Cell(part.name)
        for column in part.columns:
            assert cell_of(part.chapter, (*part.path, *column.path)) == Cell(part.name, column.name)
    for listed in LIST_TABLES:
        for chapter in listed.chapters:
            item: str | int = "that" if listed.key else 0
            found = "that" if listed.key else ""
            assert cell_of(chapter, listed.path) == Cell(listed.name)
            for column in listed.columns:
                assert cell_of(chapter, (*listed.path, item, *column.path)) == Cell(listed.name, column.name, found)
            if listed.key:
                assert cell_of(chapter, (*listed.path, item), key=True) == Cell(listed.name, listed.key.name, found)


@pytest.mark.parametrize(
    ("path", "cell"),
    [
        (("features", 1, "columns", "age"), Cell("Feature_Engineering", "expression", "age")),
        (("features", 1, "on", "customer"), Cell("Feature_Joins", "table_column", "customer")),
        (("features", 1, "on"), Cell("Feature_Joins")),
        (("features", 1, "where"), Cell("Feature_Engineering", "block_filter")),
        (("features",), Cell("Feature_Engineering")),
        (("no_such_key",), Cell("Feature_Sets")),
    ],
)
def test_a_value_of_a_block_of_features_has_its_cell(path: tuple[str | int, ...], cell: Cell) -> None:
    assert cell_of("feature_sets", path) == cell


def test_a_name_of_a_block_of_features_has_its_cell() -> None:
    age, customer = ("features", 1, "columns", "age"), ("features", 1, "on", "customer")
    assert cell_of("feature_sets", age, key=True) == Cell("Feature_Engineering", "name", "age")
    assert cell_of("feature_sets", customer, key=True) == Cell("Feature_Joins", "spine_column", "customer")


def test_a_place_within_sql_is_its_line_and_column_within_the_cell() -> None:
    assert str(TablePlaces("sqlite:///book.db").of("tables.channels", ("sql",), sql=(3, 5))) == (
        "sqlite:///book.db/SQL_Tables/channels/sql:3:5"
    )


@pytest.fixture
def shop(tmp_path: Path) -> dict[str, dict[str, dict[str, object]]]:
    return snapshot_of(load_book(write_project(tmp_path)))


def faults(snapshot: Snapshot) -> list[tuple[str, str, str]]:
    _, issues = read_snapshot(snapshot, root="/", origin="here")
    return [(issue.rule, str(issue.location), issue.fix) for issue in issues]


def test_a_fault_is_mended_by_a_column_or_a_row_and_not_by_a_key_of_yaml(
    shop: dict[str, dict[str, dict[str, object]]],
) -> None:
    del shop["reactions"]["call_customers"]["when"]
    shop["outputs"]["returns_file"]["sql"] = "select 1"
    shop["outputs"]["returns_report"]["tables"] = ["raw.orders"]
    del shop["models"]["returns"]["promotion"]
    shop["monitors"]["returns_performance"]["metrics"] = {"accuracy": {"min": 1.0}}
    assert faults(shop) == [
        ("missing-key", "here/Promotion_Policies/returns", "insert its row into Promotion_Policies"),
        (
            "unknown-value",
            "here/Monitor_Metrics/returns_performance/accuracy",
            "use one of: roc_auc, log_loss, brier, rmse, mae, r2",
        ),
        ("unknown-key", "here/Output_Storage/returns_file/sql", "set Output_Storage.sql to NULL"),
        ("unknown-key", "here/Output_Tables/returns_report", "delete its rows from Output_Tables"),
        ("missing-key", "here/Pipeline_Reactions/call_customers/condition", "set Pipeline_Reactions.condition"),
    ]

"""Every entity is told in a line, whether its book describes it or not."""

from pathlib import Path

import pytest

from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.descriptions import description_of
from metaplatform.specs.loading import load_book
from metaplatform_tests.scenario import BOOK, write_project


@pytest.fixture
def shop(tmp_path: Path) -> Manifest:
    return load_book(write_project(tmp_path))


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ("raw.customers", "Rows of data/customers.csv."),
        ("tables.channels", "SQL over raw.orders."),
        ("features.order_features", "6 features of the rows of raw.orders."),
        ("models.returns", "Learns returned from features.order_features."),
        ("predictions.order_returns", "Scores of models.returns, by the champion."),
        ("monitoring.returns_drift", "What the checks of drift on predictions.order_returns have found."),
        ("outputs.returns_file", "predictions.order_returns as CSV."),
        ("outputs.returns_views", "Views of predictions.order_returns, raw.orders in one DuckDB file."),
        ("outputs.returns_report", "Report: Orders that may come back."),
        ("reactions.call_customers", "Acts when new rows of predictions.order_returns meet probability > 0.5."),
    ],
)
def test_what_the_book_does_not_describe_is_told_by_its_fields(shop: Manifest, ref: str, told: str) -> None:
    assert description_of(shop.entities[ref]) == told


def test_no_entity_is_left_without_a_line(shop: Manifest) -> None:
    assert all(0 < len(description_of(entity)) <= 200 for entity in shop.entities.values())


def test_the_books_own_words_come_first(tmp_path: Path) -> None:
    book = BOOK.replace("    spine: raw.orders", "    description: What is known of an order.\n    spine: raw.orders")
    manifest = load_book(write_project(tmp_path, book=book))
    assert description_of(manifest.entities["features.order_features"]) == "What is known of an order."


def test_a_long_condition_is_cut(tmp_path: Path) -> None:
    condition = " or ".join(["probability > 0.5"] * 40)
    manifest = load_book(write_project(tmp_path, book=BOOK.replace("when: probability > 0.5", f"when: {condition}")))
    told = description_of(manifest.entities["reactions.call_customers"])
    assert len(told) == 200
    assert told.endswith("…")

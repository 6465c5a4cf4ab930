"""The churn example: a use case of metadata alone, over Parquet and JSON, by a key of three columns."""

from pathlib import Path
from typing import Any

import pytest

from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.loading import read_book
from metaplatform.specs.records.ledger import Action
from metaplatform_tests.examples.making import EXAMPLES, make_data, replay


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    project = make_data("churn", tmp_path_factory.mktemp("churn"), months=7, customers=250)
    root = project / "storage"
    return root, replay(project, root)


def test_the_book_is_sound_without_a_warning_and_all_there_is() -> None:
    manifest, issues = read_book(EXAMPLES / "churn" / "metadata")
    assert issues == ()
    assert manifest is not None
    assert {source.kind for source in manifest.sources.values()} == {"parquet", "json"}  # type: ignore[attr-defined]
    assert {entity.tags.get("data") for entity in manifest.entities.values()} == {"synthetic"}
    files = {path.name for path in (EXAMPLES / "churn").iterdir() if path.is_file()}
    assert files == {"README.md", "make_data.py"}


def test_what_ends_is_told_better_than_by_chance(replayed: tuple[Path, dict[str, Any]]) -> None:
    live = [row["live"] for row in replayed[1]["rows"] if row["live"] is not None]
    assert live
    assert sum(live) / len(live) > 0.6


def test_every_subscription_is_scored_once_a_month(replayed: tuple[Path, dict[str, Any]]) -> None:
    root, result = replayed
    with Warehouse(root=str(root)).session() as session:
        rows = session.stream(session.table("predictions.churning")).read_all().to_pylist()
    keys = [(row["customer"], row["contract"], row["billed at"]) for row in rows]
    assert len(keys) == len(set(keys)) == sum(row["rows"] for row in result["rows"])


def test_the_account_team_is_told_once_for_each_month_and_version(replayed: tuple[Path, dict[str, Any]]) -> None:
    root, _ = replayed
    acted = [(action.partition, action.model_version) for action in Ledger(Warehouse(root=str(root))).read(Action)]
    assert acted
    assert len(acted) == len(set(acted))
    assert (root / "reports" / "call_list" / f"{acted[0][0]}.html").exists()

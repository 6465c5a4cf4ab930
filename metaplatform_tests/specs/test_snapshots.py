"""A book and its snapshot mean the same."""

import json
from pathlib import Path

import pytest

from metaplatform.specs.loading import load_book
from metaplatform.specs.snapshots import read_snapshot, snapshot_of
from metaplatform_tests.scenario import write_project

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["default", "shop"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return ROOT / "metadata" if request.param == "default" else write_project(tmp_path)


def test_a_book_comes_back_from_its_snapshot_through_json(book: Path) -> None:
    manifest = load_book(book)
    again, _ = read_snapshot(json.loads(json.dumps(snapshot_of(manifest))), root=manifest.root, origin="snapshot")
    assert again is not None
    assert again.entities == manifest.entities
    assert list(again.entities) == list(manifest.entities)
    assert {ref: again.spec_hash(ref) for ref in again.entities} == {
        ref: manifest.spec_hash(ref) for ref in manifest.entities
    }


def test_a_snapshot_that_is_no_sound_book_tells_all_its_faults() -> None:
    broken = {
        "predictions": {"scores": {"model": "nobody", "versoin": 1}},
        "outputs": {"file": {"kind": "csv", "table": "raw.none"}},
    }
    manifest, issues = read_snapshot(broken, root="/", origin="snapshot")
    assert manifest is None
    assert {(issue.owner, issue.rule) for issue in issues} == {
        ("predictions.scores", "unknown-key"),
        ("predictions.scores", "unknown-reference"),
        ("outputs.file", "unknown-reference"),
    }
    assert {str(issue.location) for issue in issues} == {
        "snapshot/ML_Predictions/scores",
        "snapshot/ML_Predictions/scores/model",
        "snapshot/Output_Storage/file/source_table",
    }

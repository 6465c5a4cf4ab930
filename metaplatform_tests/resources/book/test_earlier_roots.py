"""A storage root of an earlier release: the books that were accepted there are found, and kept as books are now."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metaplatform.errors import BookError, StorageError
from metaplatform.resources.book.book_database import BookDatabase
from metaplatform.resources.book.deployed_book import book_of
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.loading import load_book
from metaplatform.specs.snapshots import snapshot_of
from metaplatform_tests.scenario import BOOK, write_project

FOLDER = "e2066666e905929e"
"""What those releases told the folder `../metadata`, seen from the root, without an overlay, from others by."""
PARAMETERS = "spec_version: 2\nparameters:\n  seed: {type: integer}\n"
SEED = "METAPLATFORM_PARAMETER_SEED"


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def compiled_earlier(project: Path, key: str, **variables: str) -> None:
    """Lay down the book of the files as those releases kept it; ``variables`` are digests."""
    manifest = load_book(project / "metadata", variables={SEED: "9"})
    compiled = {
        "variables": variables,
        "book": snapshot_of(manifest),
        "hashes": {ref: manifest.spec_hash(ref) for ref in manifest.entities},
        "locations": {ref: [at.file, at.line, at.column] for ref, at in manifest.locations.items()},
    }
    put(project / "storage" / "book" / "compiled" / f"{key}.json", json.dumps(compiled))


def test_the_last_good_book_of_files_and_the_pin_of_a_run_are_found(tmp_path: Path) -> None:
    metadata = write_project(tmp_path, book=PARAMETERS + BOOK.replace("seed: 7", 'seed: "${seed}"'))
    good = load_book(metadata, variables={SEED: "9"})
    compiled_earlier(tmp_path, "a1", **{SEED: "0123456789abcdef"})
    compiled_earlier(tmp_path, "b2")
    accepted = tmp_path / "storage" / "book" / "compiled" / f"{FOLDER}.accepted"
    put(accepted, "a1\n")
    write_project(tmp_path, book="tables: [half written")
    book = book_of(Deployment(book=metadata, root=tmp_path / "storage"), {})
    for _ in range(2):
        served = book.serve_live()
        assert (served.manifest, served.pin) == (good, "a1")
        assert served.manifest.identity == good.identity
        assert served.since is not None
        assert served.refused
    for pin in ("a1", "b2"):
        assert book.serve(pin).manifest == good
    write_project(tmp_path)
    book.built(served)
    assert accepted.exists(), "a book that was refused is not accepted"
    corrected = book.serve_live()
    book.built(corrected)
    assert not accepted.exists()
    write_project(tmp_path, book="tables: [half written")
    assert book.serve_live().manifest == corrected.manifest != good


def test_the_accepted_snapshot_of_a_database_is_found_and_all_before_it(tmp_path: Path) -> None:
    metadata, storage = write_project(tmp_path), tmp_path / "storage"
    url = f"sqlite:///{tmp_path / 'book.db'}"
    for key, rounds in (("aa", 38), ("bb", 39)):
        write_project(tmp_path, book=BOOK.replace("rounds: 40", f"rounds: {rounds}"))
        text = json.dumps(snapshot_of(load_book(metadata)), indent=1)
        put(storage / "book" / "snapshots" / f"{key}.json", text)
    put(storage / "book" / "accepted", "bb\n")
    write_project(tmp_path)
    book = book_of(Deployment(book=metadata, root=storage, book_source="sql"), {"METAPLATFORM_BOOK_URL": url})
    for pin, rounds in ((None, 39), ("aa", 38), ("bb", 39), (None, 39)):
        served = book.serve(pin)
        assert served.manifest.models["returns"].training.rounds == rounds
        assert served.pin == served.content == (pin or "bb")
    with pytest.raises(StorageError, match="cc cannot be read"):
        book.serve("cc")
    trouble = book.now().trouble
    assert "no such file" in str(trouble), "the database is away, and the accepted book is told instead"
    now = datetime.now(UTC)
    BookDatabase(url).push(load_book(metadata), {}, by="tester", now=now, delete=False, force=False)
    assert book.look().accepted == book.content() != "bb"
    assert not (storage / "book" / "accepted").exists()
    assert book.serve().manifest.models["returns"].training.rounds == 40
    assert book.serve("aa").manifest.models["returns"].training.rounds == 38


def test_a_snapshot_that_the_rules_of_today_refuse_is_told_with_every_fault(tmp_path: Path) -> None:
    metadata, storage = write_project(tmp_path), tmp_path / "storage"
    text = json.dumps(snapshot_of(load_book(metadata))).replace('"model": "returns"', '"model": "nobody"')
    put(storage / "book" / "snapshots" / "aa.json", text.replace('"drift_share"', '"drift_shade"'))
    put(storage / "book" / "accepted", "aa\n")
    with pytest.raises(BookError, match=r"book snapshot aa.*predictions\.order_returns.*nobody"):
        book_of(Deployment(book=metadata, root=storage, book_source="sql"), {}).serve()

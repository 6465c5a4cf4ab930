"""A book loaded again comes back the same, and whatever it hangs on makes it be read anew."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from metaplatform.errors import BookError, Issue
from metaplatform.resources.book.deployed_book import book_of
from metaplatform.resources.book.kept_books import compiler, made_from
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book
from metaplatform_tests.scenario import BOOK, write_project
from metaplatform_tests.specs.sound_books import Body, as_yaml, sound_books

LOADED = """
import metaplatform.specs.loading, sys
files = {name: module.__file__ for name, module in sys.modules.items() if name.startswith("metaplatform.")}
print(*files.values(), sep="\\n")
"""
PACKAGE = Path(__file__).resolve().parents[3] / "metaplatform"
PARAMETERS = "spec_version: 2\nparameters:\n  seed: {type: integer}\n"


def load(project: Path, **variables: str) -> Manifest:
    deployment = Deployment.from_environment(variables, project)
    deployment.root.mkdir(exist_ok=True)
    return book_of(deployment, variables).serve().manifest


def kept_files(project: Path) -> list[Path]:
    return sorted((project / ".metaplatform" / "book" / "kept").glob("*/*.json"))


def test_the_second_load_gives_the_very_book_of_the_first(tmp_path: Path) -> None:
    book = write_project(tmp_path)
    first, second = load(tmp_path), load(tmp_path)
    assert len(kept_files(tmp_path)) == 1
    assert second.known_hashes
    assert not first.known_hashes
    for manifest in (first, second):
        assert manifest == load_book(book)
        assert list(manifest.entities) == list(load_book(book).entities)
        assert {ref: manifest.spec_hash(ref) for ref in manifest.entities} == {
            ref: load_book(book).spec_hash(ref) for ref in manifest.entities
        }


@given(sound_books())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_sound_book_comes_back_whole(book: dict[str, dict[str, Body]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        project = Path(name).resolve()
        (project / "metadata").mkdir()
        (project / "metadata" / "book.yaml").write_text(as_yaml(book), encoding="utf-8")
        first, second = load(project), load(project)
        assert second.known_hashes
        assert second == first
        assert second.identity == first.identity
        assert {ref: second.lineage.of(ref) for ref in second.entities} == {
            ref: first.lineage.of(ref) for ref in first.entities
        }


def test_an_edit_is_seen_and_its_undoing_found_again(tmp_path: Path) -> None:
    book = write_project(tmp_path)
    file = next(book.glob("*.yaml"))
    before = file.read_text()
    sound = load(tmp_path)
    file.write_text(before.replace("14 days", "15 days"))
    assert load(tmp_path).entities["features.order_features"] != sound.entities["features.order_features"]
    file.write_text(before)
    again = load(tmp_path)
    assert again == sound
    assert again.known_hashes


@pytest.mark.parametrize(
    "touch",
    [
        pytest.param(lambda book, file: file.rename(book / "renamed.yaml"), id="a file renamed"),
        pytest.param(lambda _, file: file.write_text(f"\n{file.read_text()}"), id="a line moved"),
        pytest.param(lambda book, _: (book / "more.yml").write_text("# nothing\n"), id="a file added"),
    ],
)
def test_places_are_always_those_of_the_files_as_they_are(tmp_path: Path, touch) -> None:  # noqa: ANN001
    book = write_project(tmp_path)
    load(tmp_path)
    touch(book, next(book.glob("*.yaml")))
    assert load(tmp_path) == load_book(book)
    assert len(kept_files(tmp_path)) == 2


def test_a_fault_is_told_each_time_and_never_kept(tmp_path: Path) -> None:
    book = write_project(tmp_path)
    load(tmp_path)
    file = next(book.glob("*.yaml"))
    file.write_text(file.read_text().replace("spine: raw.orders", "spine: raw.order"))
    for _ in range(2):
        with pytest.raises(BookError, match=r"raw\.order"):
            load(tmp_path)
    assert len(kept_files(tmp_path)) == 1


def test_variables_and_overlays_are_part_of_the_book(tmp_path: Path) -> None:
    write_project(tmp_path, book=PARAMETERS + BOOK.replace("seed: 7", 'seed: "${seed}"'))
    (tmp_path / "environments").mkdir()
    overlay = tmp_path / "environments" / "prod.yaml"
    overlay.write_text("parameters: {seed: {default: 8}}\n")
    seed = "METAPLATFORM_PARAMETER_SEED"

    def seed_of(**variables: str) -> int:
        return load(tmp_path, **variables).models["returns"].training.seed

    for _ in range(2):
        assert seed_of(**{seed: "9"}) == 9
        assert seed_of(**{seed: "10"}) == 10
        assert seed_of(METAPLATFORM_ENVIRONMENT="prod") == 8
        assert seed_of(**{seed: "9"}, METAPLATFORM_ENVIRONMENT="prod") == 9
        with pytest.raises(BookError, match="METAPLATFORM_PARAMETER_SEED is not set"):
            load(tmp_path)
    overlay.write_text("parameters: {seed: {default: 11}}\n")
    assert seed_of(METAPLATFORM_ENVIRONMENT="prod") == 11


def test_a_pin_is_of_one_set_of_parameters(tmp_path: Path) -> None:
    """Whoever loads the same files with other values meanwhile takes nothing from a run."""
    write_project(tmp_path, book=PARAMETERS + BOOK.replace("seed: 7", 'seed: "${seed}"'))
    deployment = Deployment(book=tmp_path / "metadata", root=tmp_path)
    nine, ten = (book_of(deployment, {"METAPLATFORM_PARAMETER_SEED": seed}).serve() for seed in ("9", "10"))
    assert nine.pin != ten.pin
    assert nine.content == ten.content
    for served in (nine, ten):
        assert book_of(deployment, {}).serve(served.pin).manifest == served.manifest


def test_variables_that_no_parameter_asks_for_change_nothing(tmp_path: Path) -> None:
    write_project(tmp_path)
    load(tmp_path, HOME="/here")
    assert load(tmp_path, HOME="/there").known_hashes
    assert '"/here"' not in kept_files(tmp_path)[0].read_text()


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"variables": {}}', "\udcff"])
def test_a_damaged_file_counts_as_none_and_is_mended(tmp_path: Path, damage: str) -> None:
    write_project(tmp_path)
    sound = load(tmp_path)
    (file,) = kept_files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(damage.encode(errors="surrogateescape"))
    assert load(tmp_path) == sound
    assert file.read_bytes() == whole


def test_an_entity_that_fits_no_type_counts_as_damage(tmp_path: Path) -> None:
    write_project(tmp_path)
    sound = load(tmp_path)
    (file,) = kept_files(tmp_path)
    compiled = json.loads(file.read_text())
    compiled["book"]["models"]["returns"]["task"] = "sorcery"
    file.write_text(json.dumps(compiled))
    assert load(tmp_path) == sound


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_that_cannot_be_written_does_not_hinder(tmp_path: Path) -> None:
    book = write_project(tmp_path)
    (tmp_path / ".metaplatform").mkdir(mode=0o500)
    assert load(tmp_path) == load_book(book)


def test_a_root_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    book = write_project(tmp_path)
    assert book_of(Deployment.from_environment({}, tmp_path), {}).serve().manifest == load_book(book)
    assert not (tmp_path / ".metaplatform").exists()


def test_a_root_that_is_no_folder_does_not_hinder(tmp_path: Path) -> None:
    book = write_project(tmp_path)
    (tmp_path / ".metaplatform").mkdir()
    (tmp_path / ".metaplatform" / "book").write_text("in the way")
    assert load(tmp_path) == load_book(book)


def test_a_project_that_moved_reads_its_files_where_it_is_now(tmp_path: Path) -> None:
    write_project(tmp_path / "old")
    load(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = load(tmp_path / "new")
    assert moved.known_hashes
    assert moved.root == str(tmp_path / "new")


def test_few_are_kept(tmp_path: Path) -> None:
    book = write_project(tmp_path)
    file = next(book.glob("*.yaml"))
    text = file.read_text()
    for edit in range(12):
        file.write_text(f"{text}# {edit}\n")
        load(tmp_path)
    assert len(kept_files(tmp_path)) == 8
    assert load(tmp_path).known_hashes


def test_a_key_hangs_on_each_text_and_its_place() -> None:
    keys = [made_from(*parts) for parts in ([["a", "b"]], [["ab"]], [["b", "a"]], [["a"], ["b"]], [["a", "b"], []])]
    assert len(set(keys)) == len(keys)


def test_the_key_hangs_on_the_code_that_checks() -> None:
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    files = {Path(file).relative_to(PACKAGE).as_posix() for file in loaded.stdout.split()} - {"__init__.py"}
    known = {part.split(" ")[0] for part in compiler()}
    assert {"specs/rules/kinds.py", "sql/expressions.py"} <= files
    assert files - known == set()


def test_what_is_told_of_files_is_part_of_the_key() -> None:
    """A link that is not followed leaves the texts as they are."""
    issue = Issue("link-not-followed", "book", "x.yaml", "the link leaves the book", "put the file into the book")
    assert made_from([], [str(issue)]) != made_from([], [])

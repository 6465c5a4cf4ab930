"""A new project passes its own checks, and is written whole or not at all."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from metaplatform.errors import StorageError
from metaplatform.scaffolding.examples import ExampleName
from metaplatform.scaffolding.project import new_project
from metaplatform.specs.language.schema import book_schema
from metaplatform.specs.loading import load_book, read_book
from metaplatform_tests.processes import python

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "metaplatform" / "scaffolding"
STARTER = PACKAGE / "templates" / "starter"
EXPECTED = {
    ".github/workflows/book.yaml",
    ".gitignore",
    "README.md",
    "book.schema.json",
    "dagster.yaml",
    "definitions.py",
    "metadata/book.yaml",
    "metadata/models.yaml",
    "metadata/outputs.yaml",
    "metadata/sources.yaml",
    "pyproject.toml",
    "tests/test_book.py",
    "workspace.yaml",
}


def run(project: Path, *command: str) -> str:
    """Run a Python module in ``project`` as people do; return what it said."""
    done = python("-m", *command, cwd=project, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "returns-shop"
    run(folder.parent, "metaplatform", "init", folder.name)
    return folder


def test_a_new_project_has_a_book_dagsters_files_ci_and_tests(project: Path) -> None:
    assert set(contents(project)) >= EXPECTED
    manifest, issues = read_book(project / "metadata")
    assert issues == ()
    assert manifest is not None


def test_editors_find_the_schema_of_the_newest_language(project: Path) -> None:
    assert json.loads((project / "book.schema.json").read_text(encoding="utf-8")) == book_schema()
    texts = [path.read_text(encoding="utf-8") for path in (project / "metadata").iterdir()]
    assert {text.splitlines()[0] for text in texts} == {"# yaml-language-server: $schema=../book.schema.json"}
    assert sum("\nspec_version: 2\n" in text for text in texts) == 1


@pytest.mark.parametrize("example", ExampleName)
def test_an_example_becomes_a_project_with_its_data_and_its_page(tmp_path: Path, example: ExampleName) -> None:
    files = {str(path) for path in new_project(tmp_path / "mine", example=example)}
    assert files >= (EXPECTED - {f"metadata/{name}.yaml" for name in ("book", "models", "outputs", "sources")})
    assert "make_data.py" in files
    assert not any("orders" in file for file in files)
    made, shipped = (load_book(folder / "metadata") for folder in (tmp_path / "mine", ROOT / "examples" / example))
    assert {ref: made.spec_hash(ref) for ref in made.entities} == {ref: shipped.spec_hash(ref) for ref in made.entities}
    assert {path.split("/")[1].split(".")[0] for path in files if path.startswith("data/")} == {
        Path(source.path).parts[1].split(".")[0] for source in made.sources.values()
    }
    page = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")
    assert "cd " not in page
    assert len(re.findall(r"^# ", page, re.MULTILINE)) == 1
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "mine" / "metadata").iterdir()]
    assert {text.splitlines()[0] for text in texts} == {"# yaml-language-server: $schema=../book.schema.json"}


def test_an_examples_project_passes_its_own_tests(tmp_path: Path) -> None:
    new_project(tmp_path / "churning", example=ExampleName.CHURN)
    assert "2 passed" in run(tmp_path / "churning", "pytest", "-q", "-p", "no:cacheprovider")


def test_a_script_that_fails_leaves_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StorageError, match=r"make_data\.py failed"):
        new_project(tmp_path / "mine", example=ExampleName.RETAIL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["on", "null", "y", "NaN"])
def test_a_name_that_yaml_would_take_for_something_else_stays_a_name(tmp_path: Path, name: str) -> None:
    new_project(tmp_path, name=name)
    workspace = yaml.safe_load((tmp_path / "workspace.yaml").read_text(encoding="utf-8"))
    assert workspace["load_from"][0]["python_module"]["location_name"] == name


def test_a_new_project_passes_its_own_tests(project: Path) -> None:
    assert "2 passed" in run(project, "pytest", "-q", "-p", "no:cacheprovider")


def test_dagster_finds_the_new_project_by_its_name(project: Path) -> None:
    told = run(project, "dagster", "definitions", "validate", "-w", "workspace.yaml")
    assert "Validation successful for code location returns-shop" in told
    # What `dg dev` does first.
    dg = Path(sys.executable).parent / "dg"
    done = subprocess.run([dg, "check", "defs"], cwd=project, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "All definitions loaded successfully" in done.stdout


def test_ci_runs_what_the_project_can_run(project: Path) -> None:
    workflow = yaml.safe_load((project / ".github" / "workflows" / "book.yaml").read_text(encoding="utf-8"))
    steps = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    assert [step.split()[2] for step in steps] == ["pip", "metaplatform", "dagster", "pytest"]


def test_the_current_folder_may_become_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = new_project(Path(), name="mine")
    assert {str(path) for path in files} >= EXPECTED
    assert sorted(contents(tmp_path)) == [str(path) for path in files]


def test_what_is_there_stays_and_all_conflicts_are_named(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    (tmp_path / "metadata").write_text("a file", encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(StorageError, match=r"README\.md, metadata\b"):
        new_project(tmp_path, name="mine")
    assert contents(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "metadata"]


def test_files_beside_the_projects_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").write_text("a\n", encoding="utf-8")
    new_project(tmp_path, name="mine")
    assert (tmp_path / "data" / "mine.csv").read_text(encoding="utf-8") == "a\n"


def test_a_dangling_link_counts_as_there(tmp_path: Path) -> None:
    (tmp_path / "workspace.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"workspace\.yaml"):
        new_project(tmp_path, name="mine")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "name", ["", "1st", "../up", "a b", "x" * 64, "naïve", "a;b", 'a"b', "a\nb", "a-", "b_", "Metaplatform"]
)
def test_bad_names_are_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="is not the name of a project"):
        new_project(tmp_path / "project", name=name)
    assert list(tmp_path.iterdir()) == []


def test_the_folders_name_must_be_one_unless_another_is_given(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="--name"):
        new_project(tmp_path / "my shop")
    assert new_project(tmp_path / "my shop", name="my_shop")


def test_a_failure_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept.txt").write_text("kept", encoding="utf-8")
    link = os.link
    count = 0

    def full_disk(source: Path, target: Path) -> None:
        nonlocal count
        count += 1
        if count > 5:
            raise OSError(28, "No space left on device")
        link(source, target)

    monkeypatch.setattr(os, "link", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        new_project(tmp_path, name="mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.txt"]


def test_templates_and_examples_are_in_the_wheel_and_nothing_that_was_made_beside_them(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in ("metaplatform", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "data", ".*"))
    shutil.copytree(STARTER / "data", tmp_path / STARTER.relative_to(ROOT) / "data")
    for made in ("data", ".metaplatform"):
        (tmp_path / "examples" / "retail" / made).mkdir()
        (tmp_path / "examples" / "retail" / made / "made.csv").write_text("a\n", encoding="utf-8")
    with tarfile.open(built(tmp_path, "sdist", "*.tar.gz")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    with zipfile.ZipFile(built(source, "wheel", "*.whl")) as opened:
        inside = {name for name in opened.namelist() if re.search(r"scaffolding/(templates|examples)/", name)}
    examples = {path.relative_to(ROOT) for path in (ROOT / "examples").glob("*/*") if path.is_file()}
    examples |= {path.relative_to(ROOT) for path in (ROOT / "examples").glob("*/metadata/*")}
    templates = {path.relative_to(PACKAGE) for path in (PACKAGE / "templates").rglob("*") if path.is_file()}
    assert inside == {f"metaplatform/scaffolding/{path.as_posix()}" for path in (*examples, *templates)}


def built(project: Path, kind: str, pattern: str) -> Path:
    """Return what setuptools builds of a project."""
    build = f"from setuptools import build_meta; build_meta.build_{kind}('out')"
    done = subprocess.run([sys.executable, "-c", build], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (made,) = (project / "out").glob(pattern)
    return made

"""A new project passes its own checks, and is written whole or not at all."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from metaplatform.errors import StorageError
from metaplatform.scaffolding.project import new_project
from metaplatform.specs.loading import read_book

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = {
    ".github/workflows/book.yaml",
    ".gitignore",
    "README.md",
    "dagster.yaml",
    "metadata/models.yaml",
    "metadata/outputs.yaml",
    "metadata/sources.yaml",
    "pyproject.toml",
    "tests/test_book.py",
    "workspace.yaml",
}


def run(project: Path, *command: str) -> str:
    """Run a Python module in ``project`` as people do; return what it said."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=project, capture_output=True, text=True, check=False, timeout=300
    )
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


def test_a_new_project_passes_its_own_tests(project: Path) -> None:
    assert "2 passed" in run(project, "pytest", "-q", "-p", "no:cacheprovider")


def test_dagster_finds_the_new_project_by_its_name(project: Path) -> None:
    told = run(project, "dagster", "definitions", "validate", "-w", "workspace.yaml")
    assert "Validation successful for code location returns-shop" in told


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


@pytest.mark.parametrize("name", ["", "1st", "../up", "a b", "x" * 64, "naïve", "a;b", 'a"b', "a\nb"])
def test_bad_names_are_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="no name of a project"):
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


def test_the_templates_are_in_the_wheel(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "metaplatform", tmp_path / "metaplatform", ignore=ignore)
    build = "from setuptools import build_meta; build_meta.build_wheel('out')"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        inside = {name for name in opened.namelist() if name.startswith("metaplatform/scaffolding/templates/")}
    templates = ROOT / "metaplatform" / "scaffolding" / "templates"
    assert inside == {
        f"metaplatform/scaffolding/templates/{path.relative_to(templates).as_posix()}"
        for path in templates.rglob("*")
        if path.is_file()
    }

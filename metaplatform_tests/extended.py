"""A project whose processes have distributions installed that add kinds to the book."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from metaplatform_tests.processes import python

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Project:
    """A project folder, the folders that its processes find distributions in, and what else their environment has."""

    folder: Path
    installed: tuple[Path, ...]
    variables: Mapping[str, str] = field(default_factory=dict)

    def edit(self, book: str) -> None:
        (self.folder / "metadata").mkdir(parents=True, exist_ok=True)
        (self.folder / "metadata" / "book.yaml").write_text(book, encoding="utf-8")

    def copy(self, name: str) -> "Project":
        """Return a copy of all but what its runs have locked."""
        folder = self.folder.parent / f"{self.folder.name}_{name}"
        shutil.copytree(self.folder, folder, copy_function=shutil.copy2)
        return replace(self, folder=folder)

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(str(folder) for folder in (*self.installed, ROOT))
        return {**os.environ, "PYTHONPATH": path, **self.variables}

    def run(self, code: str) -> str:
        """Return what the code prints in a process that has imported nothing else."""
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def platform(self, *arguments: str, fails: bool = False) -> str:
        """Return what a command prints, on both streams where it fails."""
        done = python("-m", "metaplatform", *arguments, cwd=self.folder, env=self.environment, timeout=300)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr * fails

    def stored(self, *path: str) -> pl.DataFrame:
        return pl.read_delta(str(self.folder.joinpath(".metaplatform", "warehouse", *path)))

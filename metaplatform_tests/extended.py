"""A project whose processes have distributions installed that add kinds to the book."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

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

    def run(self, *command: str, fails: bool = False) -> str:
        """Return what a command prints, on both streams where it fails."""
        path = os.pathsep.join(str(folder) for folder in (*self.installed, ROOT))
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path, **self.variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr * fails

    def platform(self, *arguments: str, fails: bool = False) -> str:
        return self.run("-m", "metaplatform", *arguments, fails=fails)

    def stored(self, *path: str) -> pl.DataFrame:
        return pl.read_delta(str(self.folder.joinpath(".metaplatform", "warehouse", *path)))

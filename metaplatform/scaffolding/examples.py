"""The shipped examples: each a book, a script that makes its synthetic data, and a page about it."""

import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path

from metaplatform.errors import StorageError


class ExampleName(StrEnum):
    """The examples there are."""

    RETAIL = "retail"
    CHURN = "churn"


@dataclass(frozen=True)
class Example:
    """An example's folder, and the day up to which its history is long enough to end in predictions."""

    folder: Path
    until: str


_UNTIL = {ExampleName.RETAIL: "2024-03-24", ExampleName.CHURN: "2023-06-02"}


def find_example(name: ExampleName) -> Example:
    """Return a shipped example: a wheel brings them within the package, a checkout has them beside it.

    Raises:
        StorageError: if it was not installed.
    """
    package = Path(str(resources.files("metaplatform")))
    for examples in (package / "scaffolding" / "examples", package.parent / "examples"):
        if (examples / name / "make_data.py").is_file():
            return Example(examples / name, _UNTIL[name])
    raise StorageError(owner="init", culprit=f"the example '{name}' is not installed", fix="install metaplatform again")


def make_data(example: Example, folder: Path) -> None:
    """Make the example's synthetic data below ``folder``, by its own script.

    Raises:
        StorageError: if that fails.
    """
    script = [sys.executable, str(example.folder / "make_data.py"), "--folder", str(folder)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        told = (done.stderr.splitlines() or ["no output"])[-1]
        raise StorageError(owner="init", culprit=f"make_data.py failed: {told}", fix="see that its folder is writable")

"""The examples as people run them: their data made by their own script, their books replayed by the command."""

import json
import shutil
from pathlib import Path
from typing import Any

from metaplatform_tests.processes import python

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def make_data(example: str, folder: Path, **options: object) -> Path:
    """Copy the example's book below ``folder`` and make its data there; return the example's folder."""
    target = folder / example
    shutil.copytree(EXAMPLES / example / "metadata", target / "metadata", dirs_exist_ok=True)
    given = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    python(EXAMPLES / example / "make_data.py", "--folder", target / "data", *given, check=True, timeout=120)
    return target


def replay(example: Path, root: Path, *options: str) -> dict[str, Any]:
    """Replay the example with its reactions; return the result."""
    result = root.with_suffix(".json")
    where = ("--book", example / "metadata", "--root", root, "--json", result)
    done = python("-m", "metaplatform", "replay", "--reactions", *where, *options, timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found

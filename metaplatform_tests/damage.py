"""Ways to damage a file of a root, and what a person may be told of it."""

import re
from pathlib import Path

import pytest

from metaplatform.cli import commands

_MOST_LINES = 8


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00garbage" * 2000)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def gone(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def last_gone(path: Path) -> None:
    """Remove the newest commit of the log ``path``: what is left is a whole table, an older one."""
    newest = max(path.glob("*.json"))
    assert newest.stem > "0" * 20, "an older commit is to be left"
    newest.unlink()


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Return the exit code of a command, run in this process."""
    monkeypatch.setattr("sys.argv", ["metaplatform", *arguments])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    return ended.value.code


def check_told(code: object, said: str, about: object) -> None:
    """Check that a command has ended well, or with one message of a few lines that says what to do."""
    assert "Traceback" not in said, (about, said)
    assert "an unexpected error" not in said, (about, said)
    assert code in {0, 1, None}, (about, said)
    if code == 1:
        assert re.search(r"\. Fix: ", said), (about, said)
        assert len(said.splitlines()) <= _MOST_LINES, (about, said)

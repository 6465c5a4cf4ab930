"""Storage roots: marked once for what they are for, held by those at work, removed whole or not at all."""

import json
import os
import stat
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from metaplatform.errors import StorageError
from metaplatform.resources.storage.root_use import give_up, mark_root, remove_contents, root_alone, root_in_use, use_of


def test_a_root_is_what_it_was_marked_as_last_and_nothing_before(tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert use_of(root) is None
    assert mark_root(root, "replay") is None
    assert use_of(root) == "replay"
    assert mark_root(root, "live") == "replay"
    assert use_of(root) == "live"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"use": "other"}', "\x00"])
def test_a_damaged_mark_means_live(tmp_path: Path, text: str) -> None:
    (tmp_path / "root.json").write_text(text, encoding="utf-8")
    assert use_of(tmp_path) == "live"


def test_removing_takes_what_the_platform_made_and_leaves_what_others_put_there(tmp_path: Path) -> None:
    mark_root(tmp_path, "live")
    for name in ("warehouse/raw/a", "mlartifacts/m", "dagster/storage", "book"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("mlflow.db", "book/accepted", "notes.txt"):
        (tmp_path / name).write_text(json.dumps(name), encoding="utf-8")
    remove_contents(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "book/accepted",
        "notes.txt",
    ]
    assert use_of(tmp_path) is None


def test_a_root_that_is_given_up_is_gone_but_for_what_others_put_there(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for mine in ((), ("notes.txt", "own/rows.csv")):
        for name in (
            "warehouse/raw/a/x",
            "book/accepted",
            "book/compiled/c",
            "book/.lock",
            "ui.lock",
            "mlflow.db",
            *mine,
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name, encoding="utf-8")
        mark_root(root, "live")
        with root_alone(root):
            left = give_up(root)
        assert left == tuple(sorted({Path(name).parts[0] for name in mine}))
        assert root.exists() == bool(mine)
        if mine:
            assert sorted(path.name for path in root.iterdir()) == list(left)


HOLDER = """
import sys
from pathlib import Path
from metaplatform.resources.storage import root_use
with getattr(root_use, sys.argv[1])(Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("held", "asked", "refused"),
    [
        ("root_in_use", root_in_use, False),
        ("root_in_use", root_alone, True),
        ("root_alone", root_in_use, True),
        ("root_alone", root_alone, True),
    ],
)
def test_many_work_beside_each_other_or_one_alone_and_a_killed_holder_frees_the_root(
    tmp_path: Path, held: str, asked: "type[AbstractContextManager[None]]", *, refused: bool
) -> None:
    command = [sys.executable, "-c", HOLDER, held, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        if refused:
            with pytest.raises(StorageError, match="at work there"), asked(tmp_path):
                pass
        else:
            with asked(tmp_path):
                pass
        holder.kill()
        holder.wait()
    with root_alone(tmp_path):
        pass


def test_a_root_and_all_that_is_made_below_it_are_the_owners_alone(tmp_path: Path):
    root = tmp_path / "deep" / "root"
    before = os.umask(0o022)
    try:
        (tmp_path / "deep" / "root").mkdir(parents=True)
        mark_root(root, "live")
        (root / "made").mkdir()
        (root / "made" / "file").write_text("x")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}
    assert {name: mode & 0o077 for name, mode in modes.items()} == dict.fromkeys(modes, 0)

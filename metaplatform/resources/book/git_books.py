"""A book as a git commit has it, in a folder of its own."""

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metaplatform.errors import StorageError
from metaplatform.specs.language.overlays import FOLDER as OVERLAYS

_OF_A_HOOK = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"})


@contextmanager
def book_at(revision: str, book: Path) -> Iterator[Path]:
    """Yield a folder that holds the files of ``book`` as ``revision`` has them, removed at the end.

    ``revision`` is anything that git takes for a commit; it is resolved before it is used, and never read as an
    option. ``environments`` beside the book comes along.

    Raises:
        StorageError: if the book is in no git repository, or there is no such commit, or no book in it.
    """
    top = Path(_git(book.parent, "rev-parse", "--show-toplevel").decode().strip())
    inside = book.resolve().relative_to(top.resolve())
    if not inside.parts:
        raise StorageError(owner="git", culprit=f"{book} is the repository itself", fix="keep the book in a folder")
    found = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", what=revision)
    commit = found.decode().strip()
    wanted = [inside.as_posix(), (inside.parent / OVERLAYS).as_posix()]
    present = _git(top, "ls-tree", "--name-only", "-z", commit, "--", *wanted).decode().split("\0")[:-1]
    if inside.as_posix() not in present:
        raise StorageError(owner="git", culprit=f"'{revision}' has no {inside}", fix="name a commit that has the book")
    packed = _git(top, "archive", "--format=tar", commit, "--", *present)
    with tempfile.TemporaryDirectory(prefix="metaplatform-book-") as folder:
        _unpack(packed, Path(folder), revision)
        yield Path(folder) / inside


def _unpack(packed: bytes, folder: Path, revision: str) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise StorageError(
            owner="git", culprit=f"'{revision}' has a link out of the book: {error}", fix="put the file into the book"
        ) from error


def _git(folder: Path, *arguments: str, what: str = "") -> bytes:
    command = ["git", "-C", str(folder), *arguments]
    # Inside a hook, these would name another repository or tree than the folder's.
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    try:
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, env=environment)
    except (OSError, ValueError) as error:
        raise StorageError(
            owner="git", culprit=f"git cannot be run: {error}", fix="install git; name a commit"
        ) from error
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip() or f"there is no commit '{what}'"
        shallow = "; a shallow clone has the newest only, `git fetch --unshallow` brings the others" if what else ""
        raise StorageError(
            owner="git", culprit=told, fix=f"name a commit, branch or tag of the book's repository{shallow}"
        )
    return done.stdout

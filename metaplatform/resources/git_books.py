"""A book as a git commit has it, in a folder of its own."""

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metaplatform.errors import StorageError


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
    wanted = [inside.as_posix(), (inside.parent / "environments").as_posix()]
    present = _git(top, "ls-tree", "--name-only", "-z", commit, "--", *wanted).decode().split("\0")[:-1]
    if inside.as_posix() not in present:
        raise StorageError(owner="git", culprit=f"'{revision}' has no {inside}", fix="name a commit that has the book")
    packed = _git(top, "archive", "--format=tar", commit, "--", *present)
    with tempfile.TemporaryDirectory(prefix="metaplatform-book-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder) / inside


def _git(folder: Path, *arguments: str, what: str = "") -> bytes:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except (OSError, ValueError) as error:
        raise StorageError(
            owner="git", culprit=f"git cannot be run: {error}", fix="install git; name a commit"
        ) from error
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip() or f"there is no commit '{what}'"
        raise StorageError(owner="git", culprit=told, fix="name a commit, branch or tag of the book's repository")
    return done.stdout

"""A new project: a book that runs, Dagster's files, CI and tests, written together or not at all."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from jinja2 import Environment, StrictUndefined

from metaplatform.errors import StorageError
from metaplatform.resources.process.dagster_home import write_dagster_home
from metaplatform.scaffolding.examples import Example, ExampleName, find_example, make_data
from metaplatform.scaffolding.modeline import with_modeline
from metaplatform.specs.language.schema import book_schema

# As pip takes them, and Python's packages begin.
_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_SCHEMA = "book.schema.json"
_TEMPLATE = ".j2"
_CONTENTS = ("data", "make_data.py")
# Package data with a leading dot is easily lost, by tools and by people.
_HIDDEN = {"github": ".github", "gitignore": ".gitignore"}


def new_project(folder: Path, *, name: str | None = None, example: ExampleName | None = None) -> tuple[Path, ...]:
    """Write a new project into ``folder``, made if it is not there; return its files, relative and sorted.

    ``name`` (default: the folder's) is the project's and Dagster's code location's. Its book is that of
    ``example``, or else a small one to begin with. Nothing that is there is touched, and nothing is written
    unless all of it is.

    Raises:
        StorageError: if the name is not allowed, a file is there already (all are named), or one cannot be written.
    """
    folder = folder.absolute()
    chosen = _checked(name if name is not None else folder.name)
    try:
        made = _nearest_existing(folder.parent)
        with tempfile.TemporaryDirectory(prefix=".metaplatform-init-", dir=made) as temporary:
            prepared = Path(temporary) / "project"
            _render(prepared, chosen, find_example(example) if example else None)
            files = tuple(sorted(path.relative_to(prepared) for path in prepared.rglob("*") if path.is_file()))
            _refuse_conflicts(folder, files)
            _move(prepared, folder, files)
    except OSError as error:
        raise StorageError(
            owner=str(folder), culprit=f"cannot be written: {error.strerror or error}", fix="choose another folder"
        ) from error
    return files


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name.lower() == "metaplatform":
        raise StorageError(
            owner="init",
            culprit=f"'{name}' is not the name of a project",
            fix="give --name a letter, then letters, digits, hyphens or underscores (63 at most), the last one neither "
            "hyphen nor underscore; not 'metaplatform'",
        )
    return name


def _nearest_existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.is_dir())


def _render(folder: Path, name: str, example: Example | None) -> None:
    """Write all files of the project below ``folder``."""
    # Values are checked names, and none of the files is HTML.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    templates = resources.files("metaplatform.scaffolding") / "templates"
    contents = example.folder if example else templates / "starter"
    values = {
        "name": name,
        "version": metadata.version("metaplatform"),
        "about": _about(contents),
        "until": example.until if example else None,
    }
    for path, template in _templates(templates / "project", PurePosixPath()):
        text = template.read_text(encoding="utf-8")
        if template.name.endswith(_TEMPLATE):
            text = environment.from_string(text).render(values)
        _write(folder / path, text)
    for path, template in _templates(contents, PurePosixPath()):
        if path.parts[0] == "metadata":
            _write(folder / path, with_modeline(template.read_text(encoding="utf-8"), f"../{_SCHEMA}"))
        elif path.parts[0] in _CONTENTS and not (example and path.parts[0] == "data"):
            _write(folder / path, template.read_text(encoding="utf-8"))
    if example:
        make_data(example, folder / "data")
    _write(folder / _SCHEMA, json.dumps(book_schema(), indent=2) + "\n")
    write_dagster_home(folder)


def _about(contents: Traversable) -> str:
    """Return what the project's page says of its book: the book's own page, which its title opens."""
    text = (contents / "README.md").read_text(encoding="utf-8")
    inside = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("cd "))
    return inside.removeprefix("# ").replace("\n## ", "\n### ").rstrip()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _templates(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in folder.iterdir():
        plain = entry.name.removesuffix(_TEMPLATE)
        place = path / _HIDDEN.get(plain, plain)
        if entry.is_dir():
            yield from _templates(entry, place)
        else:
            yield place, entry


def _refuse_conflicts(folder: Path, files: tuple[Path, ...]) -> None:
    taken = [path for path in files if (folder / path).exists() or (folder / path).is_symlink()]
    blocked = {
        parent
        for path in files
        for parent in (*path.parents[:-1], Path())
        if (folder / parent).exists() and not (folder / parent).is_dir()
    }
    conflicts = sorted({*taken, *blocked})
    if conflicts:
        listed = ", ".join(str(path) if path != Path() else str(folder) for path in conflicts)
        raise StorageError(
            owner=str(folder), culprit=f"already there: {listed}", fix="move them away, or name another folder"
        )


def _move(prepared: Path, folder: Path, files: tuple[Path, ...]) -> None:
    """Move the prepared files to their place; if one cannot be, those moved before it are taken back."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        prepared.rename(folder)
        return
    written: list[Path] = []
    made: list[Path] = []
    try:
        for path in files:
            target = folder / path
            for parent in reversed(target.relative_to(folder).parents[:-1]):
                if not (folder / parent).exists():
                    (folder / parent).mkdir()
                    made.append(folder / parent)
            # A link is refused where a file has come meanwhile; a rename would replace it.
            os.link(prepared / path, target)
            written.append(target)
    except OSError:
        for target in written:
            target.unlink(missing_ok=True)
        for parent in reversed(made):
            shutil.rmtree(parent, ignore_errors=True)
        raise

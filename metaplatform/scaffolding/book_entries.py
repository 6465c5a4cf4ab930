"""New entries put into a book: checked beside all that is there, written whole, nothing else touched."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode

from metaplatform.errors import BookError, DataError
from metaplatform.naming import ref_name
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.scaffolding.modeline import schema_for, with_modeline
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.base import Name
from metaplatform.specs.language.book_files import book_paths
from metaplatform.specs.language.versions import NEWEST_VERSION, VERSION_KEY
from metaplatform.specs.loading import read_book

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_SUFFIXES = {".yaml", ".yml"}
Entries = Mapping[str, Sequence[str]]
"""Lines of new entries by chapter, indented as below the chapter's key."""


def sound_book(book: Path) -> Manifest:
    """Return the book that new entries go into; a folder without a file is a book to begin.

    Raises:
        BookError: if it has faults: they are to be corrected first.
    """
    if book.is_dir() and not any(path.suffix in _SUFFIXES for path in book.rglob("*")):
        return Manifest(root=str(book.resolve().parent))
    manifest, issues = read_book(book)
    if manifest is None or any(issue.severity == "error" for issue in issues):
        raise BookError(tuple(issues))
    return manifest


def refuse_names(manifest: Manifest, refs: Sequence[str]) -> None:
    """Refuse names that no book can have, and those that this one has already, whatever the case.

    Raises:
        DataError: naming the first that is not a name, or all that are taken.
    """
    for ref in refs:
        name = ref_name(ref)
        try:
            _NAME.validate_python(name)
        except ValidationError as error:
            told = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            raise DataError(owner="new", culprit=f"'{name}': {told}", fix="give another name") from error
    known = {ref.casefold(): ref for ref in manifest.entities}
    taken = [known[ref.casefold()] for ref in refs if ref.casefold() in known]
    if taken:
        raise DataError(owner="new", culprit=f"already in the book: {', '.join(taken)}", fix="give another name")


def text_of(entries: Entries) -> str:
    """Return the entries as lines of a file."""
    chapters = ("\n".join([f"{chapter}:", *lines]) for chapter, lines in entries.items())
    return "\n\n".join(chapters) + "\n"


def add_entries(book: Path, entries: Entries, *, target: Path) -> None:
    """Put the entries into the book's file ``target``, new or not; the rest of it stays as it is.

    Raises:
        BookError: if the book would have faults with them; nothing is written then.
        DataError: if ``target`` lies outside the book, or cannot take them.
    """
    place = target.absolute()
    if not place.resolve().is_relative_to(book.resolve()) or place.suffix not in _SUFFIXES:
        raise DataError(owner="new", culprit=f"{target} is not a YAML file below {book}", fix="name one with --into")
    before = _read(place)
    after = _with_entries(before, entries, place) if before.strip() else _new_file(book, entries, place)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / book.name
        for path in book.rglob("*"):
            if path.is_file() and path.suffix in _SUFFIXES:
                _copy(path, copy / path.relative_to(book))
        trial = copy / place.relative_to(book.absolute())
        trial.parent.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(after.encode())
        sound_book(copy)
    # Line ends are the author's.
    write_whole(place, after.encode(), folders=True)


def _new_file(book: Path, entries: Entries, path: Path) -> str:
    """Return a file of the entries, with the schema that the book's other files name; of a new book, its version."""
    others = book_paths(book) if book.is_dir() else []
    schema = schema_for(path, others)
    text = text_of(entries) if others else f"{VERSION_KEY}: {NEWEST_VERSION}\n{text_of(entries)}"
    return with_modeline(text, schema) if schema else text


def _read(path: Path) -> str:
    if not path.exists():
        return ""
    # Line ends are the author's.
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def _with_entries(text: str, entries: Entries, path: Path) -> str:
    """Return the file's text with the entries at the end of their chapters."""
    end = "\r\n" if "\r\n" in text else "\n"
    for chapter, lines in entries.items():
        held = text.splitlines(keepends=True)
        if not held[-1].endswith("\n"):
            held[-1] += end
        found = _chapter(text, chapter, path)
        at, indent = _end_of(held, found) if found else (len(held), 2)
        added = ["", *([] if found else [f"{chapter}:"]), *(f"{' ' * indent}{line[2:]}" for line in lines)]
        text = "".join([*held[:at], *(f"{line}{end}" for line in added), *held[at:]])
    return text


def _chapter(text: str, chapter: str, path: Path) -> MappingNode | None:
    """Return the entries of a chapter, None if the file has no such chapter."""
    try:
        root = YAML().compose(text)
    except YAMLError as error:
        raise DataError(owner=str(path), culprit=str(error).splitlines()[0], fix="correct the file first") from error
    for key, value in root.value if isinstance(root, MappingNode) else ():
        if key.value == chapter:
            if not isinstance(value, MappingNode) or value.flow_style or not value.value:
                raise DataError(
                    owner=str(path),
                    culprit=f"'{chapter}' is not a block of entries",
                    fix="name another file with --into, or use --print",
                )
            return value
    return None


def _end_of(lines: Sequence[str], chapter: MappingNode) -> tuple[int, int]:
    """Return how many lines there are up to the chapter's last one, and how far its entries are indented."""
    indent = chapter.value[0][0].start_mark.column
    last = min(len(lines), chapter.end_mark.line + (1 if chapter.end_mark.column else 0))
    while last > 0 and not _belongs(lines[last - 1], indent):
        last -= 1
    return last, indent


def _belongs(line: str, indent: int) -> bool:
    return bool(line.strip()) and len(line) - len(line.lstrip()) >= indent

"""A book written as YAML files for people: one file per chapter, block style, SQL of several lines as it is."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from metaplatform.errors import MetaplatformError
from metaplatform.resources.book.book_sightings import BookSightings, file_hash
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.specs.language.substitution import ESCAPE, MARK
from metaplatform.specs.language.versions import NEWEST_VERSION, VERSION_KEY
from metaplatform.specs.snapshots import Snapshot

_WIDTH = 110


def chapter_files(snapshot: Snapshot) -> dict[str, str]:
    """Return the text of each file by name: ``book.yaml`` with the language's version, ``sources.yaml`` and so on."""
    chapters = {f"{chapter}.yaml": _yaml({chapter: bodies}) for chapter, bodies in snapshot.items() if bodies}
    return {"book.yaml": _yaml({VERSION_KEY: NEWEST_VERSION}), **chapters}


def write_book(snapshot: Snapshot, folder: Path, sightings: BookSightings, *, force: bool) -> dict[str, list[str]]:
    """Write the files of a book into ``folder``; return the names written and removed.

    Files of an earlier pull that the book no longer needs go. With ``force``, files that were edited since
    are overwritten; files that no pull wrote are never touched.

    Raises:
        MetaplatformError: if ``folder`` holds YAML files with content that is not of a pull; nothing is written then.
    """
    wanted, pulled = chapter_files(snapshot), sightings.pulled_files()
    there = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*.y*ml"))} if folder.is_dir() else {}
    texts = {name: path.read_text(encoding="utf-8", errors="replace") for name, path in there.items()}
    edited = [name for name, text in texts.items() if pulled.get(name) != file_hash(text) and wanted.get(name) != text]
    foreign = [name for name in edited if name not in pulled and name not in wanted]
    refused = foreign if force else edited
    if refused:
        raise MetaplatformError(
            owner=str(folder),
            culprit=f"these files have content that no pull has written: {', '.join(refused)}",
            fix="pull into an empty folder"
            if foreign
            else "commit or move them, or pull with --force to overwrite them",
        )
    written = [name for name, text in wanted.items() if texts.get(name) != text]
    removed = [name for name in texts if name not in wanted]
    for name in written:
        write_whole(folder / name, wanted[name].encode(), folders=True)
    for name in removed:
        there[name].unlink()
    sightings.keep_pulled({name: file_hash(text) for name, text in wanted.items()})
    return {"written": written, "removed": removed}


def _yaml(values: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(_for_people(values), text)
    return text.getvalue()


def _for_people(value: Any) -> Any:
    if isinstance(value, Mapping):
        return CommentedMap((key, _for_people(inner)) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return [_for_people(inner) for inner in value]
    if isinstance(value, str):
        # Rows hold no parameters: what looks like one is text.
        value = value.replace(MARK, ESCAPE)
    if isinstance(value, str) and "\n" in value and _fits_a_literal(value):
        return LiteralScalarString(value)
    if isinstance(value, str) and not value.isprintable():
        # Written plain or in single quotes, some line breaks of Unicode would be read as spaces.
        return DoubleQuotedScalarString(value)
    return value


def _fits_a_literal(text: str) -> bool:
    """Tell whether a literal block keeps the text: no odd spaces, nothing that must be escaped."""
    lines = text.split("\n")
    plain = all(line.isprintable() and line == line.rstrip() for line in lines)
    return plain and not lines[0].startswith((" ", "#")) and bool(lines[0])

"""The book from its folder: every fault of every file found, then one manifest or one error."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from metaplatform.errors import BookError, Issue, Location
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Look
from metaplatform.specs.judging import judged
from metaplatform.specs.language.book_files import BookFiles, read_files
from metaplatform.specs.language.book_text import BookText, read_text
from metaplatform.specs.language.overlays import read_overlay
from metaplatform.specs.language.places import YamlPlaces, issue_of
from metaplatform.specs.structure import ReadEntity

_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


def load_book(
    folder: Path,
    *,
    variables: Mapping[str, str] = _NO_VARIABLES,
    environment: str | None = None,
    source_folders: Sequence[str] = (),
) -> Manifest:
    """Return the manifest of the YAML files below ``folder``, whose parent is the project root.

    ``variables`` set the book's parameters; ``environment`` names the overlay to lay over the book;
    ``source_folders`` are folders beside the project's that sources may read.

    Raises:
        BookError: with every error of the book, in order of file and line.
    """
    return load_written(WrittenBook.read(folder, environment, source_folders), variables=variables)


def read_book(
    folder: Path,
    *,
    variables: Mapping[str, str] = _NO_VARIABLES,
    environment: str | None = None,
    source_folders: Sequence[str] = (),
    look: Look | None = None,
) -> tuple[Manifest | None, tuple[Issue, ...]]:
    """Return the manifest, or None if there are errors, and every issue, warnings too, in file order.

    All but ``look`` is as for ``load_book``. ``look`` says what the files of sources hold;
    without it no data is touched.
    """
    return read_written(WrittenBook.read(folder, environment, source_folders), variables=variables, look=look)


@dataclass(frozen=True)
class WrittenBook:
    """A book as it is written: the files of its folder, and the overlay's.

    ``root`` is the folder's parent; ``source_folders`` are others that sources may read.
    """

    root: str
    files: BookFiles
    overlay: BookFiles | None = None
    source_folders: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path, environment: str | None, source_folders: Sequence[str] = ()) -> "WrittenBook":
        """Read the files below ``folder`` and, if one is named, the overlay of ``environment``."""
        overlay = read_overlay(folder, environment) if environment else None
        return cls(str(folder.resolve().parent), read_files(folder), overlay, tuple(source_folders))

    def texts(self) -> Iterator[Sequence[str]]:
        """Yield all that the book depends on except its variables: names and texts of files, and their faults."""
        yield self.source_folders
        for files in (self.files, self.overlay or BookFiles({})):
            yield [*files.texts]
            yield [*files.texts.values()]
            yield [str(issue) for issue in files.issues]


def load_written(written: WrittenBook, *, variables: Mapping[str, str] = _NO_VARIABLES) -> Manifest:
    """Return what ``load_book`` does, of files that were read before.

    Raises:
        BookError: as ``load_book`` does.
    """
    manifest, issues = read_written(written, variables=variables)
    if manifest is None:
        raise BookError(issues)
    return manifest


def read_written(
    written: WrittenBook, *, variables: Mapping[str, str] = _NO_VARIABLES, look: Look | None = None
) -> tuple[Manifest | None, tuple[Issue, ...]]:
    """Return what ``read_book`` does, of files that were read before."""
    roots, issues = written.files.parsed()
    overlays, overlay_issues = written.overlay.parsed() if written.overlay else ((), ())
    complete = all(issue.rule == "duplicate-key" for issue in issues)
    text = read_text(roots, next(iter(overlays), None), variables, whole=complete)
    broken = any(issue.severity == "error" for issue in (*issues, *overlay_issues, *text.issues))
    manifest, found = _build(text, written, look, whole=not broken)
    ordered = tuple(sorted((*issues, *overlay_issues, *text.issues, *found), key=_file_order))
    return (None if any(issue.severity == "error" for issue in ordered) else manifest), ordered


def _build(text: BookText, written: WrittenBook, look: Look | None, *, whole: bool) -> tuple[Manifest, list[Issue]]:
    """Return the manifest of the entities that are well formed, and what is wrong with any."""
    told = dict.fromkeys(map(_as_told, text.issues))
    issues: list[Issue] = []
    reads: dict[str, ReadEntity] = {}
    for ref, entry in text.entries.items():
        reads[ref] = text.read(entry)
        # A value that several entities share is at fault once.
        found = {_as_told(issue): issue for issue in (issue_of(entry, fault) for fault in reads[ref].faults)}
        issues.extend(issue for key, issue in found.items() if key not in told)
        told.update(dict.fromkeys(found))
    locations = {ref: entry.location for ref, entry in text.entries.items()}
    bare = Manifest(root=written.root, source_folders=written.source_folders, locations=locations)
    manifest, found_by_rules = judged(bare, reads, YamlPlaces(text.entries), look, whole=whole)
    return manifest, [*issues, *found_by_rules]


def _as_told(issue: Issue) -> tuple[object, ...]:
    return issue.location, issue.rule, issue.culprit, issue.message


def _file_order(issue: Issue) -> tuple[Location, str, str]:
    return (issue.location or Location("", 0), issue.rule, issue.culprit)

"""A source's files made ready for an engine: archives unpacked, and under paths that are not patterns."""

import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metaplatform.errors import DataError
from metaplatform.naming import stable_id
from metaplatform.resources.sources.source_paths import name_for_people
from metaplatform.specs.entities.ingestion import ARCHIVE, FileSource

_PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class OpenedFile:
    """A file to read: its ``path`` is for engines, its ``name`` for people, its ``origin`` is what the source names.

    ``whole`` says whether all of it is there: of some, only the first lines are looked at.
    """

    path: Path
    name: str
    origin: Path
    whole: bool = True


def opened(paths: Sequence[Path], spec: FileSource, project_root: str, folder: Path) -> tuple[OpenedFile, ...]:
    """Return the files to read; archives are unpacked below ``folder``.

    Raises:
        DataError: if an archive is damaged, or holds no file of the source's kind.
    """
    found: list[OpenedFile] = []
    for path in paths:
        name = name_for_people(path, spec, project_root)
        if path.suffix.lower() == ARCHIVE:
            found += _unzipped(path, name, spec, folder / f"unpacked-{stable_id(path)}")
        else:
            found.append(OpenedFile(literal(path, folder), name, path))
    return tuple(found)


def members_of(archive: zipfile.ZipFile, spec: FileSource, name: str) -> list[str]:
    """Return the names of an archive's members that are of the source's kind, sorted.

    Raises:
        DataError: if there are none; ``name`` is the archive's for people.
    """
    endings = spec.endings
    wanted = sorted(member for member in archive.namelist() if member.lower().endswith(endings))
    found = [member for member in wanted if not member.startswith("__MACOSX/")]
    if not found:
        culprit = f"{name} holds no {' or '.join(endings)} file"
        raise DataError(owner=spec.ref, culprit=culprit, fix="correct `path` or `kind`")
    return found


def _unzipped(archive: Path, name: str, spec: FileSource, folder: Path) -> list[OpenedFile]:
    folder.mkdir(exist_ok=True)
    found = []
    try:
        with zipfile.ZipFile(archive) as packed:
            for number, member in enumerate(members_of(packed, spec, name)):
                # Names of our own: those of the archive could lead anywhere.
                target = folder / f"{number}{Path(member).suffix.lower()}"
                with packed.open(member) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
                found.append(OpenedFile(target, f"{name}/{member}", archive))
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        fix = "give an intact archive without password"
        raise DataError(owner=spec.ref, culprit=f"{name}: {error}", fix=fix) from error
    return found


def literal(path: Path, folder: Path) -> Path:
    """Return a path to the file that DuckDB does not take for a pattern: a link below ``folder`` where necessary."""
    if not _PATTERN & set(str(path)):
        return path
    endings = [suffix for suffix in path.suffixes[-2:] if not _PATTERN & set(suffix)]
    link = folder / f"link-{stable_id(path)}{''.join(endings)}"
    if not link.is_symlink():
        link.symlink_to(path.absolute())
    return link

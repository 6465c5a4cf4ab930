"""Which kind of source the files of a name are."""

from collections.abc import Mapping
from pathlib import PurePath

from metaplatform.specs.entities.databases import DatabaseFileSource, ServerSource
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.entities.ingestion import ARCHIVE, FileSource
from metaplatform.specs.fields.spec_types import variants

COMPRESSED = (".gz", ".zst")
"""Endings, after those of a kind, of files that are read through a decompressor."""


def file_kinds() -> Mapping[str, type[FileSource]]:
    """Return the kinds of sources whose rows are in files."""
    return {kind: model for kind, model in variants(SourceSpec).items() if issubclass(model, FileSource)}


def database_kinds(scheme: str = "", name: str = "") -> tuple[str, ...]:
    """Return the kinds of databases whose URLs begin like this, or whose files end like this."""
    known = variants(SourceSpec).items()
    servers = (kind for kind, model in known if issubclass(model, ServerSource) and scheme in model.schemes)
    ending = PurePath(name.lower()).suffix
    files = (kind for kind, model in known if issubclass(model, DatabaseFileSource) and ending in model.endings)
    return (*servers, *files)


def kind_of_file(name: str) -> str | None:
    """Return the kind of source that a file of this name is, by its ending; None where the ending does not tell."""
    path = PurePath(name.lower())
    while path.suffix in {*COMPRESSED, ARCHIVE}:
        path = path.with_suffix("")
    return next((kind for kind, model in file_kinds().items() if path.suffix in model.endings), None)

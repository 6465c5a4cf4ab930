"""Which kind of source the files of a name are."""

from collections.abc import Mapping
from pathlib import PurePath

from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.entities.ingestion import ARCHIVE, FileSource
from metaplatform.specs.fields.spec_types import variants

COMPRESSED = (".gz", ".zst")
"""Endings, after those of a kind, of files that are read through a decompressor."""


def file_kinds() -> Mapping[str, type[FileSource]]:
    """Return the kinds of sources whose rows are in files."""
    return {kind: model for kind, model in variants(SourceSpec).items() if issubclass(model, FileSource)}


def kind_of_file(name: str) -> str | None:
    """Return the kind of source that a file of this name is, by its ending; None where the ending does not tell."""
    path = PurePath(name.lower())
    while path.suffix in {*COMPRESSED, ARCHIVE}:
        path = path.with_suffix("")
    return next((kind for kind, model in file_kinds().items() if path.suffix in model.endings), None)

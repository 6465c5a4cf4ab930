"""Looks at the sources of a book without reading them whole."""

from pathlib import Path
from tempfile import TemporaryDirectory

from metaplatform.errors import MetaplatformError
from metaplatform.resources.sources.readers import READERS
from metaplatform.resources.sources.source_reader import Judge, Looking, Place
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Looks, SourceLook
from metaplatform.specs.entities.families import SourceSpec


def look_at_sources(manifest: Manifest, *, judge: Judge, threads: int = 0) -> Looks:
    """Return what each source holds; a source that cannot be looked at has the fault instead.

    Columns of files are those of up to 1,000 of them; rows are the first of up to eight, :data:`first_rows.ROWS` in
    all. Archives are unpacked as far as that needs, into a temporary folder; nothing else is written.
    """
    place = Place.of(manifest)
    with TemporaryDirectory(prefix="metaplatform-") as folder:
        return {
            name: _look(spec, place, Looking(judge, threads, Path(folder, name)))
            for name, spec in manifest.sources.items()
        }


def _look(spec: SourceSpec, place: Place, looking: Looking) -> SourceLook:
    looking.folder.mkdir()
    try:
        return READERS.of(spec.kind).look(spec, place, looking)
    except MetaplatformError as error:
        return SourceLook(fault=(error.culprit, error.fix))

"""Which endings of file names go with which kind of source."""

from collections.abc import Mapping
from pathlib import PurePath

ENDINGS: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv", ".tsv", ".tab", ".txt"),
    "parquet": (".parquet", ".pq"),
    "json": (".json", ".jsonl", ".ndjson"),
}
"""Kind of source → the endings of its files, lower case."""
COMPRESSED = (".gz", ".zst")
"""Endings, after those, of files that are read through a decompressor."""
ARCHIVE = ".zip"
"""Ending of an archive, whose members are read one by one."""


def kind_of_file(name: str) -> str | None:
    """Return the kind of source that a file of this name is, by its ending; None where the ending does not tell."""
    path = PurePath(name.lower())
    while path.suffix in {*COMPRESSED, ARCHIVE}:
        path = path.with_suffix("")
    return next((kind for kind, endings in ENDINGS.items() if path.suffix in endings), None)

"""Overlays: partial bodies of an environment, laid over what the book defines."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from metaplatform.errors import Issue, Location
from metaplatform.specs.language.book_files import BookFiles, book_paths, read_file
from metaplatform.specs.language.merging import empty_mapping, is_null, laid_over
from metaplatform.specs.language.sections import Entry, first_of_each_name
from metaplatform.specs.yaml_source import Node
from metaplatform.text.nearest import MOST_NEAREST, nearest_name

FOLDER = "environments"
"""Name of the folder of overlays, beside the book's folder."""


def read_overlay(book: Path, environment: str) -> BookFiles:
    """Return an environment's file beside the folder ``book``, or what is wrong with it."""
    folder = book.parent / FOLDER
    known = {path.stem: path for path in book_paths(folder) if path.parent == folder}
    if environment in known:
        return read_file(known[environment], f"{FOLDER}/{known[environment].name}")
    issue = Issue(
        rule="unknown-environment",
        owner="book",
        culprit=environment,
        message=f"there is no overlay '{environment}' in {FOLDER}",
        fix=f"name one of: {', '.join(known)}" if known else f"write {FOLDER}/{environment}.yaml",
        # The file that is missing has no line: this is where it belongs.
        location=Location(f"{FOLDER}/{environment}.yaml", 1),
        nearest=nearest_name(environment, known),
    )
    return BookFiles({}, (issue,))


def overlaid(entries: Mapping[str, Entry], over: Iterable[Entry]) -> tuple[dict[str, Entry], list[Issue]]:
    """Return entries by reference with their overlays laid over them, and what is wrong with the overlays."""
    first, issues = first_of_each_name(over)
    found = dict(entries)
    for entry in first:
        below = found.get(entry.ref)
        if below is None:
            issues.append(_unknown_entry(entry, entries, with_nearest=len(issues) < MOST_NEAREST))
        elif entry.body.kind != "mapping" and not is_null(entry.body):
            message, fix = f"'{entry.name}' is not a mapping", "write the keys that differ indented below it"
            issues.append(Issue("wrong-type", entry.ref, entry.name, message, fix, entry.location))
        else:
            body = mapping_of(below)
            found[entry.ref] = below.with_body(laid_over(body, mapping_of(entry)))
    return found, issues


def mapping_of(entry: Entry) -> Node:
    """Return the body of an entry; of one that holds nothing, an empty mapping at its key."""
    return empty_mapping(entry.key) if is_null(entry.body) else entry.body


def _unknown_entry(entry: Entry, entries: Mapping[str, Entry], *, with_nearest: bool) -> Issue:
    names = [known.name for known in entries.values() if with_nearest and known.chapter == entry.chapter]
    near = nearest_name(entry.name, names)
    return Issue(
        rule="unknown-name",
        owner=entry.ref,
        culprit=entry.name,
        message=f"the book has no '{entry.name}' in `{entry.chapter}` to lay this over",
        fix="define it in the book; an overlay only changes what is there",
        location=entry.location,
        nearest=near,
    )

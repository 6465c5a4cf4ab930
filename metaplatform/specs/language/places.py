"""Where the values of a book stand in its files."""

from collections.abc import Mapping

from metaplatform.errors import Issue, Location
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.fields.references import Path
from metaplatform.specs.language.sections import Entry
from metaplatform.specs.yaml_source import Node, place_in_text


class YamlPlaces:
    """Where the values of entities stand in their files."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        """Keep the entries by reference."""
        self._entries = entries

    def of(
        self, ref: str, path: Path = (), *, key: bool = False, sql: tuple[int, int] | None = None
    ) -> Location | None:
        """Return the place of an entity's value, or of its ``key``, or of ``sql``'s line and column within it."""
        entry = self._entries.get(ref)
        if entry is None:
            return None
        node, key_node = follow(entry, path)
        if sql is not None and node.kind == "scalar":
            return place_in_text(node, *sql)
        return (key_node if key or not path else node).location


def follow(entry: Entry, path: Path) -> tuple[Node, Node]:
    """Return the value and the key at the end of a path, or where the path leaves the book."""
    node, key_node = entry.body, entry.key
    for part in path:
        child = node.get(part)
        if child is None:
            break
        key_node = node.key(part) or key_node
        node = child
    return node, key_node


def issue_of(entry: Entry, fault: Fault) -> Issue:
    """Return a fault of an entry as an issue at its place."""
    return Issue(
        rule=fault.rule,
        owner=entry.ref,
        culprit=fault.culprit,
        message=fault.message,
        fix=fault.fix,
        location=YamlPlaces({entry.ref: entry}).of(entry.ref, fault.path, key=fault.at_key),
        nearest=fault.nearest,
    )

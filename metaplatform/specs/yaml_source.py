"""YAML text with the place of every key and value: YAML 1.2 core scalars, duplicate keys kept apart.

Read from the parser's events, not by PyYAML's constructor: nothing is guessed (``on``, ``yes``, ``2013-01``
and ``12:30`` are text), nothing is built but mappings, lists and scalars, and depth and aliases are bounded.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from metaplatform.errors import Location
from metaplatform.specs.unknown import NO_VALUE

_MAX_DEPTH = 40
MAX_NODES = 1_000_000
"""Values of one file, and of all that defaults add to a book."""
_TEXT_OF_A_NODE = 16
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER_STARTS = frozenset("0123456789+-.")
_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], int | float]], ...] = (
    (re.compile(r"[-+]?[0-9]{1,300}"), int),
    (re.compile(r"0x[0-9a-fA-F]{1,300}|0o[0-7]{1,300}"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(\.[0-9]{1,300}|[0-9]{1,300}(\.[0-9]{0,300})?)([eE][-+]?[0-9]{1,4})?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A text and what it is called in errors: the file of nodes that may meet those of other files."""

    file: str
    text: str


Move = tuple[int, int, int, int]
"""A part of a value that was replaced: its start and end in the value, and in the value as written."""


@dataclass(slots=True)
class Node:
    """One value of the document and its place.

    ``value`` is a scalar, or None for a mapping (then ``pairs``) and a list (then ``items``). ``text`` is a
    scalar as written, ``style`` its quote or block sign (``|``), ``""`` where plain. ``index`` is the offset
    in the text of ``source``. ``size`` counts values (long texts several times) and ``depth`` levels, aliases
    in full; ``repeats`` tells of a key given twice below. ``written`` is the scalar before parts of it were
    replaced, by ``moves``.
    """

    kind: str
    line: int
    column: int
    index: int
    source: Source
    value: Any = None
    text: str = ""
    style: str = ""
    pairs: "Sequence[tuple[Node, Node]]" = ()
    items: "Sequence[Node]" = ()
    size: int = 1
    depth: int = 1
    repeats: bool = False
    written: "Node | None" = None
    moves: tuple[Move, ...] = ()

    @property
    def location(self) -> Location:
        """Return where the value stands."""
        return Location(self.source.file, self.line, self.column)

    def get(self, key: str | int) -> "Node | None":
        """Return the value at a key or index, or None."""
        if isinstance(key, int):
            return self.items[key] if self.kind == "list" and 0 <= key < len(self.items) else None
        return next((value for name, value in self.pairs if name.value == key), None)

    def key(self, key: str | int) -> "Node | None":
        """Return the key's own node, or the item at an index, or None."""
        if isinstance(key, int):
            return self.get(key)
        return next((name for name, _ in self.pairs if name.value == key), None)

    def plain(self, lacking: frozenset[int] = frozenset()) -> Any:
        """Return the value as plain Python; of a repeated key, the first.

        ``lacking`` are ids of values that could not be made.
        """
        if id(self) in lacking:
            return NO_VALUE
        if self.kind == "mapping":
            plain: dict[str, Any] = {}
            for name, value in self.pairs:
                plain.setdefault(name.value, None if name.value in plain else value.plain(lacking))
            return plain
        if self.kind == "list":
            return [item.plain(lacking) for item in self.items]
        return self.value


class YamlError(ValueError):
    """Text that is not YAML, or more of it than the book allows; ``line`` and ``column`` count from 1."""

    def __init__(self, message: str, *, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


def read_yaml(text: str, file: str = "") -> Node | None:
    """Return the document's root node, or None if it is empty; ``file`` is what errors call the text.

    Raises:
        YamlError: if the text is not one YAML document, is nested too deep, or swells by its aliases.
    """
    try:
        return _Builder(Source(file, text)).build()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise YamlError(str(error.problem or error.context), line=line, column=column) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError("a character that YAML forbids", line=line, column=1) from error


class _Builder:
    """Builds nodes from events without recursion, so that nesting is bounded by us, not by the stack."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._anchors: dict[str, Node] = {}
        self._open: list[tuple[Node, str | None, list[Node]]] = []
        self._root: Node | None = None
        self._documents = 0

    def build(self) -> Node | None:
        for event in yaml.parse(self._source.text, Loader=yaml.CSafeLoader):
            self._take(event)
        return self._root

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._add(_scalar(event, self._source), event.anchor)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "list"
            if len(self._open) >= _MAX_DEPTH:
                raise _too_much(event, f"nested more than {_MAX_DEPTH} deep")
            self._open.append((_node(kind, event, self._source), event.anchor, []))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            node, anchor, children = self._open.pop()
            self._close(node, children, event)
            self._add(node, anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _too_much(event, f"alias '*{event.anchor}' names no anchor above it")
            self._add(self._anchors[event.anchor], None)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _too_much(event, "a second document; write one a file")

    def _close(self, node: Node, children: list[Node], event: Any) -> None:
        measure(node, children)
        if node.size > MAX_NODES:
            raise _too_much(event, f"more than {MAX_NODES} values, aliases counted in full")
        if node.depth > _MAX_DEPTH:
            raise _too_much(event, f"nested more than {_MAX_DEPTH} deep, aliases counted in full")
        if node.kind == "list":
            node.items = children
            return
        node.pairs = list(zip(map(_as_key, children[::2]), children[1::2], strict=True))
        node.repeats |= len({name.value for name, _ in node.pairs}) < len(node.pairs)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1][2].append(node)
        else:
            self._root = node


def measure(node: Node, children: Sequence[Node]) -> None:
    """Set the node's size, depth and whether a key repeats, from its children, keys too."""
    size, depth, repeats = 1, 0, False
    for child in children:
        size += child.size
        depth = max(depth, child.depth)
        repeats = repeats or child.repeats
    node.size, node.depth, node.repeats = size, depth + 1, repeats


def _node(kind: str, event: Any, source: Source) -> Node:
    mark = event.start_mark
    return Node(kind, mark.line + 1, mark.column + 1, mark.index, source)


def _scalar(event: Any, source: Source) -> Node:
    mark = event.start_mark
    style, text = event.style or "", event.value
    value = _resolve(text) if event.implicit[0] and not style else text
    size = 1 + len(text) // _TEXT_OF_A_NODE
    index = after_properties(source.text, mark.index) if event.anchor or event.tag else mark.index
    return Node("scalar", mark.line + 1, mark.column + 1, index, source, value, text, style, size=size)


def after_properties(text: str, start: int) -> int:
    """Return where a value itself begins, behind its anchor and tag."""
    found = _PROPERTIES.match(text, start)
    return found.end() if found else start


def _as_key(node: Node) -> Node:
    """Return the node as a key: a name, whatever it looks like."""
    if node.kind != "scalar":
        raise YamlError("a key must be a name", line=node.line, column=node.column)
    return node if node.value is node.text else replace(node, value=node.text)


def _resolve(text: str) -> Any:
    """Return a plain scalar by YAML 1.2's core schema."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    return next((read(text) for form, read in _NUMBERS if form.fullmatch(text)), text)


def _too_much(event: Any, message: str) -> YamlError:
    return YamlError(message, line=event.start_mark.line + 1, column=event.start_mark.column + 1)


def repeated_keys(root: Node) -> Iterator[tuple[tuple[str | int, ...], Node, Node]]:
    """Yield every key that its mapping holds already: the mapping's path, the key, the first of its name."""
    pending: list[tuple[tuple[str | int, ...], Node]] = [((), root)]
    seen: set[int] = set()
    while pending:
        path, node = pending.pop()
        if id(node) in seen or not node.repeats:
            continue
        seen.add(id(node))
        first: dict[str, Node] = {}
        for name, value in node.pairs:
            if name.value in first:
                yield path, name, first[name.value]
            first.setdefault(name.value, name)
            pending.append(((*path, name.value), value))
        pending.extend(((*path, index), item) for index, item in enumerate(node.items))


def place_in_text(node: Node, line: int, column: int) -> Location:
    """Return the place in the file of a line and column (from 1) within a scalar's value.

    Folding moves line ends and indentation, never the other characters, so these are counted off.
    """
    if node.written is not None:
        written = str(node.written.value)
        lines = written[: _offset_as_written(node, _offset(str(node.value), line, column))].split("\n")
        return place_in_text(node.written, len(lines), len(lines[-1]) + 1)
    text = node.source.text
    before = _characters_before(str(node.value), line, column)
    index = text.find("\n", node.index) + 1 if node.style in {"|", ">"} else node.index + len(node.style)
    while index < len(text):
        if not text[index].isspace():
            if before == 0:
                break
            before -= 1
            if (node.style, text[index : index + 2]) == ("'", "''") or (node.style, text[index]) == ('"', "\\"):
                index += 1
        index += 1
    start = text.rfind("\n", 0, index) + 1
    return Location(node.source.file, text.count("\n", 0, index) + 1, index - start + 1)


def _offset(value: str, line: int, column: int) -> int:
    lines = value.split("\n")
    return sum(len(each) + 1 for each in lines[: line - 1]) + column - 1


def _offset_as_written(node: Node, offset: int) -> int:
    """Return the offset before parts were replaced; within a part, its start."""
    shift = 0
    for start, end, was_start, was_end in node.moves:
        if offset < start:
            break
        if offset < end:
            return was_start
        shift = was_end - end
    return offset + shift


def _characters_before(value: str, line: int, column: int) -> int:
    lines = value.split("\n")
    upto = "".join(lines[: line - 1]) + (lines[line - 1][: column - 1] if line <= len(lines) else "")
    return len("".join(upto.split()))

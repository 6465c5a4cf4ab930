"""From version 1 of the language, metaplatform 0.1.0's, to 2: edits of texts, in place; all else stays as written."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from metaplatform.specs.language.versions import NEWEST_VERSION, PARAMETERS_KEY, VERSION_KEY
from metaplatform.specs.yaml_source import Node, YamlError, after_properties, read_yaml

Texts = Mapping[str, str]
"""The texts of a book's files, by file, in the book's order."""
_DOUBLE_QUOTES = '"'
_BLOCKS = frozenset({"|", ">"})


class MigrationError(ValueError):
    """A file that cannot be brought to another version: ``file`` and what stands in the way."""

    def __init__(self, file: str, message: str) -> None:
        super().__init__(message)
        self.file, self.message = file, message


@dataclass(frozen=True)
class _Scalar:
    """A scalar value as it stands in a text, from ``start`` to ``end``."""

    value: str
    style: str
    start: int
    end: int


def migrated(texts: Texts, version: int) -> dict[str, str]:
    """Return the texts of a book of ``version`` in the newest version; those that need no edit are the same.

    Raises:
        MigrationError: if a text is not YAML, or would not mean the same.
    """
    return dict(texts) if version == NEWEST_VERSION else _with_version(_escape_signs(texts))


def _escape_signs(texts: Texts) -> dict[str, str]:
    """Write ``${`` as ``$${`` in every value: since version 2 it begins a parameter.

    A book that declares parameters was never one of version 1: its ``${`` are meant.
    """
    roots = {file: _root(file, text) for file, text in texts.items()}
    if any(root and root.get(PARAMETERS_KEY) for root in roots.values()):
        return dict(texts)
    made = {file: _escaped(text) for file, text in texts.items()}
    for file, text in made.items():
        if _plain(_root(file, text), unescape=True) != _plain(roots[file]):
            raise MigrationError(file, "its `${` cannot be written as `$${` by itself")
    return made


def _escaped(text: str) -> str:
    edits: list[tuple[int, int, str]] = []
    for scalar in _values(text):
        if "${" not in scalar.value:
            continue
        raw = text[scalar.start : scalar.end]
        if scalar.style == _DOUBLE_QUOTES and raw.count("${") != scalar.value.count("${"):
            # Written with escapes: no sign to be seen, so the whole text is written again.
            edits.append((scalar.start, scalar.end, json.dumps(scalar.value.replace("${", "$${"), ensure_ascii=False)))
            continue
        # What follows the sign of a block is a comment.
        begin = raw.find("\n") + 1 if scalar.style in _BLOCKS else 0
        edits.append((scalar.start + begin, scalar.end, raw[begin:].replace("${", "$${")))
    for start, end, piece in reversed(edits):
        text = text[:start] + piece + text[end:]
    return text


def _values(text: str) -> Iterator[_Scalar]:
    """Yield the scalars of a text that are not keys, in their order."""
    open_mappings: list[bool | None] = []
    for event in _events(text):
        start, end = after_properties(text, event.start_mark.index), event.end_mark.index
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            open_mappings.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        # Of an open mapping: whether a key comes next; of a list, None.
        is_key = bool(open_mappings) and open_mappings[-1] is True
        if open_mappings and open_mappings[-1] is not None:
            open_mappings[-1] = not open_mappings[-1]
        if isinstance(event, yaml.MappingStartEvent):
            open_mappings.append(True)
        elif isinstance(event, yaml.SequenceStartEvent):
            open_mappings.append(None)
        elif isinstance(event, yaml.ScalarEvent) and not is_key:
            yield _Scalar(event.value, event.style or "", start, end)


def _events(text: str) -> Iterator[Any]:
    """Yield the parser's events; each has its marks."""
    events: Any = yaml.parse(text, Loader=yaml.CSafeLoader)
    yield from events


def _with_version(texts: Texts) -> dict[str, str]:
    """Return the texts with the newest version declared: where one is, or below the first file's leading comment."""
    made = dict(texts)
    roots = {file: _root(file, text) for file, text in texts.items()}
    declared = {file: root.get(VERSION_KEY) for file, root in roots.items() if root and root.get(VERSION_KEY)}
    for file, node in declared.items():
        if node is not None:
            end = node.index + len(node.text)
            made[file] = texts[file][: node.index] + str(NEWEST_VERSION) + texts[file][end:]
    if not declared:
        file = next((file for file, root in roots.items() if root), next(iter(texts)))
        made[file] = _with_first_key(texts[file], roots[file])
    for file, text in made.items():
        if text != texts[file] and not _same_but_for_version(file, text, roots[file]):
            raise MigrationError(file, f"`{VERSION_KEY}: {NEWEST_VERSION}` cannot be put in by itself; write it there")
    return made


def _same_but_for_version(file: str, text: str, before: Node | None) -> bool:
    try:
        root = _root(file, text)
    except MigrationError:
        return False
    declared = root.get(VERSION_KEY) if root else None
    if declared is None or declared.value != NEWEST_VERSION:
        return False
    after = _plain(root, leave_out=VERSION_KEY)
    return bool(after == (_plain(before, leave_out=VERSION_KEY) or []))


def _with_first_key(text: str, root: Node | None) -> str:
    line = f"{VERSION_KEY}: {NEWEST_VERSION}"
    end = "\r\n" if "\r\n" in text else "\n"
    if root is None:
        return f"{text}{'' if text.endswith(end) or not text else end}{line}{end}"
    if text[root.index] == "{":
        return f"{text[: root.index + 1]}{line}, {text[root.index + 1 :]}"
    first = text.rfind("\n", 0, root.index) + 1
    head = text[:first].splitlines(keepends=True)
    comments = next((number for number, each in enumerate(head) if not each.startswith("#")), len(head))
    # A document may begin with a line of its own, below which the key must stand.
    marks = [number + 1 for number, each in enumerate(head) if each.startswith("---")]
    before = max([comments, *marks])
    return "".join([*head[:before], " " * (root.column - 1), line, end, *head[before:]]) + text[first:]


def _root(file: str, text: str) -> Node | None:
    try:
        root = read_yaml(text, file)
    except YamlError as error:
        raise MigrationError(file, f"line {error.line}: {error.message}") from error
    return root if root and root.kind == "mapping" else None


def _plain(root: Node | None, *, leave_out: str = "", unescape: bool = False) -> Any:
    """Return what a document means, for comparison; a repeated key counts as often as it stands."""
    if root is None:
        return None
    if root.kind == "mapping":
        pairs = [(str(name.value), _plain(value, unescape=unescape)) for name, value in root.pairs]
        return [pair for pair in pairs if pair[0] != leave_out]
    if root.kind == "list":
        return [_plain(item, unescape=unescape) for item in root.items]
    return root.value.replace("$${", "${") if unescape and isinstance(root.value, str) else root.value

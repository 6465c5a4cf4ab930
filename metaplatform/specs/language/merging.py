"""Mappings laid over mappings: merge keys within a file, defaults below entities, overlays over them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from metaplatform.errors import Issue
from metaplatform.specs.yaml_source import MAX_NODES, Node, YamlError, measure

_MERGE_KEY = "<<"


def is_null(node: Node) -> bool:
    """Tell whether the value is null."""
    return node.kind == "scalar" and node.value is None


def empty_mapping(key: Node) -> Node:
    """Return a mapping without keys that stands at ``key``."""
    return Node("mapping", key.line, key.column, key.index, key.source)


def laid_over(base: Node, over: Node) -> Node:
    """Return ``over`` laid over ``base``: mappings merge, all else is replaced, null takes a key away.

    A null that finds no key to take away stays. Every value keeps its own place.
    """
    if base.kind != "mapping" or over.kind != "mapping":
        return over
    pairs = _first_pairs(base.pairs)
    for name, value in over.pairs:
        known = pairs.get(name.value)
        if known is None:
            pairs[name.value] = (name, value)
        elif is_null(value):
            del pairs[name.value]
        else:
            pairs[name.value] = (name, laid_over(known[1], value))
    return with_pairs(over, pairs.values())


def with_pairs(node: Node, pairs: Iterable[tuple[Node, Node]]) -> Node:
    """Return the mapping with other pairs, at its place."""
    made = replace(node, pairs=list(pairs))
    measure(made, [part for pair in made.pairs for part in pair])
    return made


def merge_keys_of(root: Node) -> Iterator[Node]:
    """Yield every plain ``<<`` key below ``root``, each once."""
    if _MERGE_KEY not in root.source.text:
        return
    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield from (name for name, _ in node.pairs if _is_merge(name))
        pending.extend((*(value for _, value in node.pairs), *node.items))


def with_merge_keys(root: Node) -> tuple[Node, tuple[Issue, ...]]:
    """Return the document with every ``<<`` replaced by the keys of its mappings; own keys win.

    Raises:
        YamlError: if it makes more values than a file may hold.
    """
    if next(merge_keys_of(root), None) is None:
        return root, ()
    merger = _Merger()
    return merger.merged(root), tuple(merger.issues)


class _Merger:
    """Merges each node once: aliases share the result."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self._done: dict[int, tuple[Node, Node]] = {}

    def merged(self, node: Node) -> Node:
        """Return the node, or what replaces it; nodes nest no deeper than a file may."""
        if node.kind == "scalar":
            return node
        if id(node) not in self._done:
            made = self._list(node) if node.kind == "list" else self._mapping(node)
            if made.size > MAX_NODES:
                message = f"more than {MAX_NODES} values, aliases and merge keys counted in full"
                raise YamlError(message, line=node.line, column=node.column)
            # The node is kept beside its result, so that its id stays its own.
            self._done[id(node)] = (node, made)
        return self._done[id(node)][1]

    def _list(self, node: Node) -> Node:
        made = replace(node, items=[self.merged(item) for item in node.items])
        measure(made, made.items)
        return made

    def _mapping(self, node: Node) -> Node:
        own = [(name, self.merged(value)) for name, value in node.pairs if not _is_merge(name)]
        merges = [(name, value) for name, value in node.pairs if _is_merge(name)]
        if not merges:
            return with_pairs(node, own)
        pairs: dict[str, tuple[Node, Node]] = {}
        for name, value in merges:
            for mapping in self._mappings(name, value):
                pairs = {**_first_pairs(mapping.pairs), **pairs}
        known = {name.value for name, _ in own}
        return with_pairs(node, [*(pair for key, pair in pairs.items() if key not in known), *own])

    def _mappings(self, name: Node, value: Node) -> Iterator[Node]:
        """Yield the mappings that a ``<<`` names; the first of a list wins, as YAML has it."""
        for item in value.items if value.kind == "list" else (value,):
            if item.kind == "mapping":
                yield self.merged(item)
            else:
                message, fix = "`<<` merges mappings only", "write `<<: *anchor`, or a list of such aliases"
                self.issues.append(Issue("wrong-type", "book", "<<", message, fix, name.location))


def _is_merge(name: Node) -> bool:
    return name.value == _MERGE_KEY and not name.style


def _first_pairs(pairs: Iterable[tuple[Node, Node]]) -> dict[str, tuple[Node, Node]]:
    """Return pairs by name; of a repeated key, the first."""
    found: dict[str, tuple[Node, Node]] = {}
    for name, value in pairs:
        found.setdefault(name.value, (name, value))
    return found

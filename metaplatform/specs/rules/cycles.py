"""Cycles: nothing waits for itself."""

from collections.abc import Iterator, Mapping

from metaplatform.errors import Issue
from metaplatform.specs.fields.references import Reference
from metaplatform.specs.rules.book import Book

Graph = Mapping[str, Mapping[str, Reference]]


def dependency_cycles(book: Book) -> Iterator[Issue]:
    """Yield each loop once, at the first entity of it in the book, with the whole path."""
    graph: Graph = {
        ref: {use.target: use for use in reversed([*entity.references()]) if use.orders}
        for ref, entity in book.entities()
    }
    in_loop: set[str] = set()
    for ref in _on_loops(graph):
        if ref in in_loop:
            continue
        path = _shortest_loop(graph, ref)
        if not path:
            continue
        in_loop.update(path)
        use = graph[ref][path[1]]
        shown = " → ".join(path)
        yield book.issue(
            "cycle",
            ref,
            use.path,
            culprit=shown,
            message=f"'{ref}' waits for itself: {shown}",
            fix="take one of these references away",
            sql=use.sql,
        )


def _on_loops(graph: Graph) -> list[str]:
    """Return what is left, in book order, once everything that waits for nothing left is taken away, both ways."""
    left = dict.fromkeys(graph)
    for edges in (_forward(graph), _backward(graph)):
        waiting = {ref: sum(target in left for target in edges[ref]) for ref in left}
        against = _turned(edges)
        free = [ref for ref in left if not waiting[ref]]
        while free:
            gone = free.pop()
            left.pop(gone, None)
            for ref in against.get(gone, ()):
                if ref in left:
                    waiting[ref] -= 1
                    if not waiting[ref]:
                        free.append(ref)
    return list(left)


def _forward(graph: Graph) -> dict[str, list[str]]:
    return {ref: [target for target in uses if target in graph] for ref, uses in graph.items()}


def _backward(graph: Graph) -> dict[str, list[str]]:
    turned = _turned(_forward(graph))
    return {ref: turned.get(ref, []) for ref in graph}


def _turned(edges: Mapping[str, list[str]]) -> dict[str, list[str]]:
    turned: dict[str, list[str]] = {}
    for ref, targets in edges.items():
        for target in targets:
            turned.setdefault(target, []).append(ref)
    return turned


def _shortest_loop(graph: Graph, start: str) -> list[str]:
    """Return a shortest path from ``start`` back to it, both ends included; empty if there is none.

    There is none for what lies between two loops.
    """
    before: dict[str, str] = {}
    queue = [start]
    for ref in queue:
        for target in graph.get(ref, {}):
            if target == start:
                return [*_path_to(ref, before), start]
            if target in graph and target not in before:
                before[target] = ref
                queue.append(target)
    return []


def _path_to(ref: str, before: Mapping[str, str]) -> list[str]:
    path = [ref]
    while path[-1] in before:
        path.append(before[path[-1]])
    return path[::-1]

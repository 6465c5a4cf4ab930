"""The fields of an entity before and now: what differs in meaning, place by place."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from metaplatform.specs.fields.base import PRESENTATION
from metaplatform.sql.expressions import canonical_fields

Fields = Mapping[str, Any]
_ABSENT = object()
_WHOLE = frozenset({"columns", "derive"})
"""Mappings whose canonical form is a list; their keys are told apart by name all the same."""


@dataclass(frozen=True)
class Difference:
    """One field that differs: ``path`` leads to it, ``old`` and ``new`` are JSON values, None where it is not."""

    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """Render as ``path: old → new``, in the book's words."""
        return f"{self.path}: {_shown(self.old)} → {_shown(self.new)}"


def differences(old: Fields, new: Fields) -> tuple[Difference, ...]:
    """Return what differs in meaning between two entities of one name, presentation left out, in field order."""
    if old == new:
        return ()
    left = {name: value for name, value in old.items() if name not in PRESENTATION}
    right = {name: value for name, value in new.items() if name not in PRESENTATION}
    return tuple(_mappings("", left, right))


def _mappings(path: str, old: Fields, new: Fields) -> Iterator[Difference]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
        place = f"{path}.{name}" if path else name
        if isinstance(before, dict) and isinstance(after, dict):
            found = tuple(_mappings(place, before, after))
            # Order counts in a chain of expressions alone: then every part is as it was, and the whole is not.
            turned = not found and _canonical(name, before, old) != _canonical(name, after, new)
            yield from (Difference(place, before, after),) if turned else found
        elif _are_blocks(before) and _are_blocks(after) and len(before) == len(after):
            for index, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from _mappings(f"{place}[{_block(index, other)}]", one, other)
        elif before is _ABSENT or after is _ABSENT or not _same(path, name, (before, old), (after, new)):
            yield Difference(place, None if before is _ABSENT else before, None if after is _ABSENT else after)


def _block(index: int, block: Fields) -> str:
    """Return how people know a block of a list: its place from 1 on, its kind and the table it reads."""
    about = " ".join(str(block[name]) for name in ("kind", "table") if name in block)
    return f"{index + 1}: {about}" if about else str(index + 1)


def _are_blocks(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _same(path: str, name: str, old: tuple[Any, Fields], new: tuple[Any, Fields]) -> bool:
    holder = path.rpartition(".")[2]
    if holder in _WHOLE and isinstance(old[0], str) and isinstance(new[0], str):
        # A column of a source has a type, one of a block of features an expression.
        kind = {"kind": "lookup"} if "[" in path else {}
        one, other = (canonical_fields({**kind, holder: {name: value}}) for value in (old[0], new[0]))
        return one == other
    return _canonical(name, *old) == _canonical(name, *new)


def _canonical(name: str, value: Any, siblings: Fields) -> str:
    kind = {"kind": siblings["kind"]} if "kind" in siblings and name != "kind" else {}
    canonical = cast("dict[str, Any]", canonical_fields({**kind, name: value}))
    return json.dumps(canonical[name], sort_keys=True)


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, str):
        return " ".join(value.split())
    return json.dumps(value, ensure_ascii=False)

"""What an entity writes, with its place: references and texts, of a broken entity as far as they can be read."""

from collections.abc import Iterator
from dataclasses import dataclass

from metaplatform.chapters import Chapter
from metaplatform.specs.fields.base import Spec
from metaplatform.specs.unknown import until_unknown

Path = tuple[str | int, ...]
"""Keys and list indexes from an entity's mapping down to a value."""


@dataclass(frozen=True)
class Reference:
    """What an entity points to: where it does so, and the prefixes that may stand there.

    ``sql`` is the line and column within an SQL text. ``written`` is the text in the book. ``orders`` is
    false where the one does not wait for the other (a retrain policy reads what monitors said before).
    """

    path: Path
    target: str
    prefixes: tuple[str, ...]
    written: str
    sql: tuple[int, int] | None = None
    orders: bool = True


def whole(spec: Spec, key: str, prefixes: tuple[str, ...], path: Path = ()) -> Iterator[Reference]:
    """Yield the reference at a key that is written with its prefix, or each of a list; what cannot be read is not."""
    with until_unknown():
        found = getattr(spec, key)
        if isinstance(found, tuple):
            for index, target in enumerate(found):
                yield Reference((*path, key, index), str(target), prefixes, target)
        elif found is not None:
            yield Reference((*path, key), str(found), prefixes, found)


def named(spec: Spec, key: str, chapter: Chapter) -> Iterator[Reference]:
    """Yield the reference at a key whose chapter its place implies; none if it cannot be read."""
    with until_unknown():
        name = getattr(spec, key)
        yield Reference((key,), chapter.ref(name), (chapter.prefix,), name)


def texts_at(spec: Spec, key: str, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the text at a key with its path, or each of many by name; what cannot be read is left out."""
    found = getattr(spec, key)
    if isinstance(found, str):
        yield (*path, key), found
    elif isinstance(found, dict):
        yield from (((*path, key, name), text) for name, text in found.items() if isinstance(text, str))

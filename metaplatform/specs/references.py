"""A reference as an entity writes it."""

from dataclasses import dataclass

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


def whole(path: Path, target: str, prefixes: tuple[str, ...]) -> Reference:
    """Return a reference that is written with its prefix."""
    return Reference(path, target, prefixes, target)


def named(path: Path, prefix: str, name: str) -> Reference:
    """Return a reference whose prefix its place implies."""
    return Reference(path, f"{prefix}.{name}", (prefix,), name)

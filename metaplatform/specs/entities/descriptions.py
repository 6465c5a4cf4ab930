"""What people are shown of an entity, also of one that its book does not describe."""

from metaplatform.specs.entities.entity import Entity

_LONGEST = 200


def description_of(entity: Entity) -> str:
    """Return the description of an entity of a sound book, or what its fields say of it in one line."""
    return entity.description or _line(entity.told)


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"

"""Counted things in words."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 row``, ``12,000 rows``; ``plural`` is for nouns that take no ``s``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"

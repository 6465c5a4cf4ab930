"""Answers that stay true as long as what they were made of stays the same: looks are many, changes few."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Remembered(Generic[K, T]):
    """The last answer to each question: asked again once one of the objects that it was made of is another one.

    For values that are replaced and never changed; it holds one answer a question, however often that is asked.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[K, tuple[tuple[object, ...], T]] = {}

    def of(self, question: K, made_of: tuple[object, ...], ask: Callable[[], T]) -> T:
        """Return the answer to ``question``, as ``ask`` gives it, from the objects ``made_of``."""
        known = self._known.get(question)
        if known is None or [*map(id, known[0])] != [*map(id, made_of)]:
            known = self._known[question] = (made_of, ask())
        return known[1]

"""A value that the book gives and nobody can read: whoever looks into it learns that, and nothing else."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

T = TypeVar("T")


class UnknownValueError(Exception):
    """Raised by every use of an unknown value; whatever needs it cannot be said."""


class _Unknown:
    """Refuses every use, so that nothing is concluded from it."""

    __slots__ = ()

    def _refuse(self, *_: object) -> NoReturn:
        raise UnknownValueError

    __getattr__ = __getitem__ = __iter__ = __len__ = __bool__ = __contains__ = __call__ = _refuse
    __str__ = __format__ = __hash__ = __eq__ = __ne__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = _refuse

    def __repr__(self) -> str:
        return "UNKNOWN"


class _NoValue:
    """No spec takes it."""

    def __repr__(self) -> str:
        return "NO_VALUE"


UNKNOWN: Final[Any] = _Unknown()
"""Stands in an entity for a value that is at fault."""
NO_VALUE: Final[Any] = _NoValue()
"""Stands in a body for a value that could not be made, of which its fault is told elsewhere."""


@contextmanager
def until_unknown() -> Iterator[None]:
    """End what is done within where it meets an unknown value."""
    try:
        yield
    except UnknownValueError:
        return
    except TypeError as error:
        # What takes nothing but a text, or a number, does not ask.
        if _Unknown.__name__ not in str(error):
            raise


def readable(found: Iterable[T]) -> Iterator[T]:
    """Yield what can be said before an unknown value is met."""
    with until_unknown():
        yield from found

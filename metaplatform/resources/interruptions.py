"""Interruptions (Ctrl-C, SIGTERM) that a library turned into an error of its own, told as what they are again."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptions_pass() -> Iterator[None]:
    """Raise the interruption behind an error in its place.

    A signal that arrives within a query of DuckDB comes out as a ``RuntimeError``: the step would fail as if its SQL
    were at fault, and what fails by itself is not tried again.

    Raises:
        BaseException: the ``KeyboardInterrupt`` or Dagster's like of it.
    """
    try:
        yield
    except Exception as error:
        interruption = _interruption_behind(error)
        if interruption is None:
            raise
        raise interruption from error


def _interruption_behind(error: BaseException) -> BaseException | None:
    """Return the first of what caused ``error`` that is no ``Exception``: those are what ends a program, not faults."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        if not isinstance(found, Exception | GeneratorExit):
            return found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None

"""Interruptions (Ctrl-C, SIGTERM) that a library turned into an error of its own, told as what they are again."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_ASK_TO_STOP = frozenset({signal.SIGINT, signal.SIGTERM})


@contextmanager
def interruptions_noted() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether a signal to stop has come since, whoever handled it.

    Dagster holds signals back while it writes the events of a run, and forgets those that come then: a Ctrl-C would be
    lost. Off the main thread, which alone gets signals, nothing is noted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield lambda: _any_of(_ASK_TO_STOP, reader)
        finally:
            signal.set_wakeup_fd(before)


def _any_of(numbers: frozenset[signal.Signals], reader: socket.socket) -> bool:
    came = b""
    with suppress(BlockingIOError):
        came = reader.recv(4096)
    return not numbers.isdisjoint(came)


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
    """Return the first of what caused ``error`` that is not an ``Exception``: those end a program."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        if not isinstance(found, Exception | GeneratorExit):
            return found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None

"""Streams of what may never come: made in a thread of their own, and waited for no longer than is declared."""

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")
_AHEAD = 2
"""So many items are made before they are asked for: who makes them and who takes them work at once."""
_LOOK = 0.2
_CLOSING = 5
"""So many seconds a thread has to close what it has open: a process that ends while it is at that is aborted."""
_LEFT: set[threading.Thread] = set()


def within(seconds: float, work: Callable[[], Iterator[T]]) -> Iterator[T]:
    """Yield what ``work`` does, which runs in a thread of its own, as long as all of it takes less than ``seconds``.

    A library that waits for a server cannot be stopped: whoever waits here can, by Ctrl-C, or as the time has come. Its
    thread is left behind then, and closes what it has open once the server answers, or with the process.

    Raises:
        TimeoutError: if it takes longer.
    """
    items: Queue[tuple[T | None, Exception | None] | None] = Queue(_AHEAD)
    left = threading.Event()

    def put(item: tuple[T | None, Exception | None] | None) -> bool:
        while not left.is_set():
            with suppress(Full):
                items.put(item, timeout=_LOOK)
                return True
        return False

    def make() -> None:
        try:
            made = work()
            for item in made:
                if not put((item, None)):
                    # Its turn to close what it has opened, here: nobody else may touch it.
                    getattr(made, "close", lambda: None)()
                    return
        except Exception as error:  # noqa: BLE001  # raised again by whoever waits
            put((None, error))
        else:
            put(None)

    thread = threading.Thread(target=make, name="metaplatform-source", daemon=True)
    thread.start()
    try:
        yield from _taken(items, time.monotonic() + seconds)
    finally:
        left.set()
        # Long enough for one that is at work; of one that waits for a server nobody knows how long it will.
        thread.join(1)
        _LEFT.update({thread} if thread.is_alive() else ())


def _taken(items: "Queue[tuple[T | None, Exception | None] | None]", until: float) -> Iterator[T]:
    while True:
        try:
            found = items.get(timeout=max(until - time.monotonic(), 0))
        except Empty:
            found = (None, TimeoutError())
        if found is None:
            return
        item, error = found
        if error is not None:
            raise error
        yield item  # type: ignore[misc]  # an item, where there is no error


@atexit.register
def _let_close() -> None:
    """Wait for the threads that are closing what they have open."""
    until = time.monotonic() + _CLOSING
    for thread in _LEFT:
        thread.join(max(until - time.monotonic(), 0))

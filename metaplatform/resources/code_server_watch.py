"""Watches over the code server of `dagster dev`, whose proxy outlives it and then answers nothing for ever."""

import signal
from collections.abc import Iterator

import psutil

_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 2.0


class CodeServerWatch:
    """Ends a proxy that has lost its code server: `dagster dev` then starts both anew by itself.

    A code server that is killed, for want of memory say, is the end of every sensor and run otherwise: nobody asks
    for a reload at night.
    """

    def __init__(self, dev: int) -> None:
        """Take the process id of `dagster dev`."""
        self._dev = dev
        self._whole: set[int] = set()
        self._bereft: dict[int, float] = {}
        self._next = 0.0

    def look(self, now: float) -> bool:
        """Return whether a proxy had to be ended; ``now`` are seconds of a clock that only goes forward.

        A proxy counts as bereft that had a code server and has had none for a while: reloads are left alone.
        """
        if now < self._next:
            return False
        self._next = now + _LOOK_SECONDS
        ended = False
        for proxy in _proxies(self._dev):
            if any(_runs(child, "api", "grpc") for child in _children(proxy)):
                self._whole.add(proxy.pid)
                self._bereft.pop(proxy.pid, None)
            elif proxy.pid in self._whole and now - self._bereft.setdefault(proxy.pid, now) >= _PATIENCE_SECONDS:
                proxy.send_signal(signal.SIGKILL)
                self._whole.discard(proxy.pid)
                ended = True
        return ended


def _proxies(dev: int) -> Iterator[psutil.Process]:
    try:
        children = _children(psutil.Process(dev))
    except psutil.NoSuchProcess:
        return
    yield from (child for child in children if _runs(child, "code-server", "start"))


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def _runs(process: psutil.Process, *command: str) -> bool:
    """Return whether a process lives and is `python -m dagster` with this command."""
    try:
        living = process.status() != psutil.STATUS_ZOMBIE
        arguments = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    return living and any(arguments[at : at + len(command)] == list(command) for at in range(len(arguments)))

"""Watches over the code server behind a proxy (`dagster code-server start`) that outlives it and answers nothing."""

from collections.abc import Callable

import psutil

_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 2.0


class CodeServerWatch:
    """Tells when a proxy has lost its code server.

    A code server that is killed, for want of memory say, is the end of every sensor and run otherwise: nobody asks
    for a reload at night.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._bereft: dict[int, float] = {}
        self._next: dict[int, float] = {}

    def bereft(self, proxy: int, now: float, answers: Callable[[], bool]) -> bool:
        """Return whether the proxy of this process id answers and has had no code server for a while.

        ``now`` are seconds of a clock that only goes forward. A proxy ``answers`` once its first code server has loaded
        its code, so one that is still starting is left alone; so are reloads.
        """
        if now < self._next.get(proxy, 0.0):
            return False
        self._next[proxy] = now + _LOOK_SECONDS
        if _has_code_server(proxy) or not answers():
            self._bereft.pop(proxy, None)
            return False
        return now - self._bereft.setdefault(proxy, now) >= _PATIENCE_SECONDS


def _has_code_server(proxy: int) -> bool:
    try:
        children = psutil.Process(proxy).children()
    except psutil.NoSuchProcess:
        return False
    return any(_runs(child, "api", "grpc") for child in children)


def _runs(process: psutil.Process, *command: str) -> bool:
    """Return whether a process lives and is `python -m dagster` with this command."""
    try:
        living = process.status() != psutil.STATUS_ZOMBIE
        arguments = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    return living and any(arguments[at : at + len(command)] == list(command) for at in range(len(arguments)))

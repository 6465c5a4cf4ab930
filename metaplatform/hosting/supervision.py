"""Keeps a set of servers running: what ends is started again, later each time it ends soon."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from metaplatform.hosting.child import Child, Service, start
from metaplatform.hosting.code_server_watch import CodeServerWatch

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_STEADY_SECONDS = 120.0
"""A server that ran so long and ends is started again at once, as if it had never ended."""


def pause_before(failures: int) -> float:
    """Return the seconds to wait before the next start, after so many ends one soon after the other."""
    return float(min(_FIRST_PAUSE_SECONDS * 2 ** (failures - 1), _LONGEST_PAUSE_SECONDS))


class Supervised:
    """One service that is to run: its child now, and when it is started again if there is none."""

    def __init__(self, service: Service, begin: Callable[[Service], Child], now: float) -> None:
        """Start it; ``begin`` starts a service, ``now`` are seconds of a clock that only goes forward."""
        self.service = service
        self._begin = begin
        self._watch = CodeServerWatch()
        self._failures = 0
        self._restart_at: float | None = None
        self.child = begin(service)
        self._began = now

    def look(self, now: float, grace_seconds: float) -> str | None:
        """Start it again if it has ended, once its pause is over; return what there is to tell. Its log stays short."""
        self.child.turn_log()
        if self._restart_at is not None:
            if now < self._restart_at:
                return None
            self._restart_at = None
            self.child, self._began = self._begin(self.service), now
            return f"{self.service.name} is started again."
        what = self._ended(now)
        if what is None:
            return None
        self._failures = 1 if now - self._began >= _STEADY_SECONDS else self._failures + 1
        self.child.end(0 if self.child.process.poll() is None else grace_seconds)
        pause = pause_before(self._failures)
        self._restart_at = now + pause
        return f"{self.service.name} {what}; it is started again in {pause:.0f} s. Its log: {self.child.log}"

    def _ended(self, now: float) -> str | None:
        code = self.child.process.poll()
        if code is not None:
            return f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
        if self.service.keeps_runs and self._watch.bereft(self.child.process.pid, now, self.child.healthy):
            return "has lost its code server"
        return None


class Supervisor:
    """All servers of a deployment, started in the order in which they are given."""

    def __init__(self, *, logs: Path, environment: Mapping[str, str], grace_seconds: float) -> None:
        """Have nothing started yet."""
        self._logs, self._environment, self._grace_seconds = logs, environment, grace_seconds
        self.running: list[Supervised] = []

    def add(self, services: Sequence[Service], now: float) -> Sequence[Child]:
        """Start services; return their children."""
        for service in services:
            self.running.append(Supervised(service, self._start, now))
        return [supervised.child for supervised in self.running[len(self.running) - len(services) :]]

    def look(self, now: float) -> list[str]:
        """Start again what has ended; return what there is to tell."""
        told = (supervised.look(now, self._grace_seconds) for supervised in self.running)
        return [line for line in told if line is not None]

    def stop(self) -> None:
        """End all servers: asked all at once, then waited for."""
        for supervised in self.running:
            supervised.child.ask_to_stop()
        for supervised in self.running:
            supervised.child.end(self._grace_seconds)

    def _start(self, service: Service) -> Child:
        return start(service, logs=self._logs, environment=self._environment)

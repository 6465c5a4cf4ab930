"""What a `metaplatform ui` notes below the root it serves: enough to find what it left behind, and to talk to it."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from metaplatform import places
from metaplatform.hosting.child import bearing, end_processes
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.resources.run_launcher import process_lives

MARK = "METAPLATFORM_UI"
"""Environment variable of every process that a `ui` started, and of all that these started: its own mark."""


@dataclass(frozen=True)
class ServingRecord:
    """A `metaplatform ui` at work: its process and when that began (Unix seconds), its mark, its code servers.

    ``code_servers`` are ``unix:`` addresses.
    """

    pid: int
    started: float
    mark: str
    code_servers: tuple[str, ...] = ()

    @classmethod
    def of_this_process(cls, mark: str, code_servers: tuple[str, ...]) -> "ServingRecord":
        """Return the record of this process."""
        return cls(os.getpid(), psutil.Process().create_time(), mark, code_servers)

    @classmethod
    def read(cls, root: Path) -> "ServingRecord | None":
        """Return the record below a root, None if there is none, or it is damaged."""
        try:
            found = json.loads((root / places.SERVED).read_bytes())
            servers = tuple(str(server) for server in found["code_servers"])
            return cls(int(found["pid"]), float(found["started"]), str(found["mark"]), servers)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, root: Path) -> None:
        """Keep the record below a root."""
        write_whole(root / places.SERVED, json.dumps(asdict(self)).encode(), folders=True)

    @property
    def lives(self) -> bool:
        """Return whether that very process still runs."""
        return process_lives(self.pid, self.started)


def forget(root: Path) -> None:
    """Take the record away: nothing is served."""
    (root / places.SERVED).unlink(missing_ok=True)


def end_leftovers(root: Path, grace_seconds: float, announce: Callable[[str], None]) -> None:
    """End what a `ui` that was killed has left running, and tell so.

    To be called by the one who holds the root's lock: nobody else serves it then. Runs at work are told to stop, and
    are tried again by the next daemon.
    """
    record = ServingRecord.read(root)
    if record is None or record.lives:
        return
    left = len(bearing(MARK, record.mark))
    if left:
        announce(f"Ending {left} processes that a killed `metaplatform ui` left behind")
        end_started_by(record.mark, grace_seconds)
    forget(root)


def end_started_by(mark: str, grace_seconds: float) -> None:
    """End every process that a `ui` of this mark started, and all that these started."""
    end_processes(lambda: bearing(MARK, mark), grace_seconds)

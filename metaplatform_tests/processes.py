"""Processes that begin with the libraries imported: all of our own code they import anew, as any other process.

They have what ``python`` would give them: a folder, an environment and a module path, streams and an exit code. They
are forked, one at a time, from a process that has imported what others wrote, which takes seconds each time.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Timer

_ROOT = Path(__file__).parents[1]


def python(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run ``python <command>``, where the command begins with ``-m`` and a module, or is a script.

    Raises:
        CalledProcessError: if it fails and ``check`` is set, or if it takes longer; it is killed then.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        asked = {"words": words, "cwd": str(cwd or Path.cwd()), "env": dict(os.environ if env is None else env)}
        code = _forked({**asked, "out": str(out), "err": str(err)}, timeout)
        done = subprocess.CompletedProcess(
            words, code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        )
    if check or code == -signal.SIGKILL:
        done.check_returncode()
    return done


def _forked(asked: Mapping[str, object], timeout: float) -> int:
    """Return the exit code of a process that is forked for what is asked."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(asked) + "\n")
    server.stdin.flush()
    limit = Timer(timeout, os.kill, (int(server.stdout.readline()), signal.SIGKILL))
    limit.start()
    try:
        return int(server.stdout.readline())
    finally:
        limit.cancel()


@cache
def _server() -> "subprocess.Popen[str]":
    """Start the process that the others are forked from; it ends with this one."""
    command = [sys.executable, "-W", "ignore", "-m", "metaplatform_tests.forked"]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    server = subprocess.Popen(
        command, cwd=_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate)
    return server

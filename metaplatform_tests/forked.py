"""The process that those of the tests are forked from: it reads what to run, writes its number and its exit code."""

import atexit
import json
import os
import runpy
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any, NoReturn

from metaplatform_tests.libraries import copy_mlflow_tables, import_all

_WRITTEN = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def main() -> None:
    """Fork for each line."""
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import_all()
    copy_mlflow_tables()
    _warn_as_python_does()
    while line := sys.stdin.readline():
        process = os.fork()
        if not process:
            told.close()
            end(**json.loads(line))
        told.write(f"{process}\n")
        _, status = os.waitpid(process, 0)
        told.write(f"{os.waitstatus_to_exitcode(status)}\n")


def _warn_as_python_does() -> None:
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.filterwarnings("ignore", category=category)
    warnings.filterwarnings("default", category=DeprecationWarning, module="__main__")


def end(**asked: Any) -> NoReturn:
    """Run what was asked for and end with its exit code, not by the libraries' ways: their threads are not here."""
    code = 1
    try:
        become(**asked)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if not isinstance(ended.code, int | None):
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:  # noqa: BLE001  # as the interpreter does
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def become(words: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    """Become the process that was asked for."""
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, _WRITTEN), (2, err, _WRITTEN)):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    by_module = words[0] == "-m"
    first = cwd if by_module else str(Path(words[0]).resolve().parent)
    library = next(place for place, entry in enumerate(sys.path) if entry.endswith(".zip"))
    sys.path[:] = [first, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep)), *sys.path[library:]]
    sys.argv[:] = words[1:] if by_module else words
    run: Any = runpy.run_module if by_module else runpy.run_path
    run(words[by_module], run_name="__main__", **({"alter_sys": True} if by_module else {}))


if __name__ == "__main__":
    main()

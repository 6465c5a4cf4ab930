"""Secrets: the book names environment variables, and what stands in them is read here, when it is needed."""

import os
from pathlib import Path

from metaplatform.errors import DataError

_FILE = "_FILE"
"""Behind a variable's name: the variable that names a file with the secret, as Docker and Kubernetes mount them."""


def secret(variable: str, *, owner: str) -> str:
    """Return what an environment variable holds, or the file that ``<variable>_FILE`` names, without its line's end.

    Whoever asks keeps it out of messages and tables.

    Raises:
        DataError: naming the ``owner`` that needs it, if it is not set, or the file cannot be read.
    """
    found = os.environ.get(variable, "")
    named = "" if found else os.environ.get(variable + _FILE, "")
    if named:
        found = _text(Path(named), variable + _FILE, owner)
    if not found:
        culprit = f"the file of {variable}{_FILE} is empty" if named else f"environment variable {variable} is not set"
        fix = f"set {variable} where runs start, or {variable}{_FILE} to a file that holds it"
        raise DataError(owner=owner, culprit=culprit, fix=fix)
    return found


def _text(file: Path, variable: str, owner: str) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        culprit = f"the file that environment variable {variable} names cannot be read: {why}"
    raise DataError(owner=owner, culprit=culprit, fix=f"mount it, or correct {variable}")

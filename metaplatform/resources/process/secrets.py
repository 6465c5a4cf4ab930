"""Secrets: the book names environment variables, and what stands in them is read here, when it is needed."""

import os

from metaplatform.errors import DataError


def secret(variable: str, *, owner: str) -> str:
    """Return what an environment variable holds; whoever asks keeps it out of messages and tables.

    Raises:
        DataError: naming the ``owner`` that needs it, if it is not set.
    """
    found = os.environ.get(variable, "")
    if not found:
        raise DataError(
            owner=owner, culprit=f"environment variable {variable} is not set", fix=f"set {variable} where runs start"
        )
    return found

"""The first line of a book's file that tells editors its JSON Schema."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

_MODELINE = re.compile(r"\A(\ufeff?)# yaml-language-server: \$schema=(\S+)[^\n]*\n")


def with_modeline(text: str, schema: str) -> str:
    """Return the text of a file with a modeline that names ``schema``, in place of the one that it has, if any."""
    return f"# yaml-language-server: $schema={schema}\n{_MODELINE.sub('', text)}"


def schema_for(path: Path, others: Iterable[Path]) -> str | None:
    """Return the schema that ``others`` name, as a file at ``path`` names it; None if none does."""
    for other in others:
        with other.open(encoding="utf-8") as file:
            found = _MODELINE.match(file.readline())
        if found:
            named = found[2]
            if "://" in named or Path(named).is_absolute():
                return named
            return Path(os.path.relpath(other.parent / named, path.parent)).as_posix()
    return None

"""YAML as people write it: a comment at the end of a line, quotes only where they are needed."""

import json
import re
from collections.abc import Iterable

import sqlglot
from sqlglot import exp

from metaplatform.sql.dialect import parsed, sql_text

# Within brackets too: no comma, bracket, colon or hash.
_BARE = re.compile(r"[A-Za-z_]([A-Za-z0-9_ ()./=*+'-]*[A-Za-z0-9_)./'*])?")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def scalar(text: str) -> str:
    """Return a text as a scalar, in a block or within brackets."""
    bare = _BARE.fullmatch(text) and text.lower() not in _WORDS
    return text if bare else json.dumps(text, ensure_ascii=False)


def sql_column(name: str) -> str:
    """Return a column as SQL, quoted only where it has to be."""
    if _IDENTIFIER.fullmatch(name):
        try:
            if isinstance(parsed(name), exp.Column):
                return name
        except sqlglot.errors.ParseError:
            pass
    return sql_text(exp.column(name, quoted=True))


def listed(texts: Iterable[str]) -> str:
    """Return texts as a list on one line."""
    return f"[{', '.join(scalar(text) for text in texts)}]"


def commented(line: str, comment: str) -> str:
    """Return a line with a comment behind it."""
    return f"{line}  # {' '.join(comment.split())}" if comment else line

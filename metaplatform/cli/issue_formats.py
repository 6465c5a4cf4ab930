"""Issues of a book as text: lines for people, JSON for machines, annotations for GitHub."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from metaplatform.errors import Issue, Location

_SEVERITY_COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m"}
_BOLD, _FAINT, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def for_people(issue: Issue, *, folder: Path, colour: bool) -> str:
    """Return an issue as two lines: where and what, then the fix; ``folder`` is the one that paths start from."""
    location = issue.location
    at = f":{location.line}:{location.column}" if location and location.line else ""
    where = f"{_shown_path(location, folder)}{at}: " if location else ""
    hint = f" Did you mean '{issue.nearest}'?" if issue.nearest else ""
    parts = [where, f"{issue.severity}: ", f"{issue.owner}: {issue.message} ", f"[{issue.rule}]"]
    styles = [_BOLD, _SEVERITY_COLOURS[issue.severity], "", _FAINT]
    shown = [visible(part) for part in parts]
    if colour:
        shown = [f"{style}{part}{_PLAIN}" if style else part for style, part in zip(styles, shown, strict=True)]
    return f"{''.join(shown)}\n    fix: {visible(issue.fix + '.' * bool(hint) + hint)}"


def for_machines(issues: Iterable[Issue]) -> str:
    """Return issues as a JSON list, each with the fields of :class:`Issue`; files as the book names them."""
    return json.dumps([asdict(issue) for issue in issues], indent=2)


def for_github(issue: Issue, *, folder: Path, base: Path) -> str:
    """Return an issue as a workflow command, which GitHub shows at its line of a pull request.

    ``folder`` is the one that the issue's file is relative to, ``base`` the checkout's.
    """
    properties = {"title": f"{issue.owner} [{issue.rule}]"}
    if issue.location and not _is_url(issue.location):
        file = _relative_to(Path(folder, issue.location.file), base)
        place = {"file": file, "line": str(issue.location.line), "col": str(issue.location.column)}
        properties = place | properties
    written = ",".join(f"{name}={_escaped(value, properties=True)}" for name, value in properties.items())
    hint = f". Did you mean '{issue.nearest}'?" if issue.nearest else ""
    message = f"{issue.message}\nfix: {issue.fix}{hint}"
    return f"::{issue.severity} {written}::{_escaped(message)}"


def github_base(environment: Mapping[str, str], book: Path) -> Path:
    """Return the folder that GitHub takes files from: the checkout that has the book, or else the current one."""
    workspace = environment.get("GITHUB_WORKSPACE")
    if workspace and book.resolve().is_relative_to(Path(workspace).resolve()):
        return Path(workspace).resolve()
    return Path.cwd().resolve()


def visible(text: str) -> str:
    """Return text with what a terminal would not show, or act on, written as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _shown_path(location: Location, folder: Path) -> str:
    return location.file if _is_url(location) else _relative_to(Path(folder, location.file), Path.cwd())


def _is_url(location: Location) -> bool:
    """Tell whether the place is one in a database, which no path leads to."""
    return "://" in location.file


def _relative_to(path: Path, base: Path) -> str:
    """Return the path from ``base``, with slashes; the whole path if it lies elsewhere."""
    inside = path.is_relative_to(base)
    return Path(os.path.relpath(path, base)).as_posix() if inside else path.as_posix()


def _escaped(text: str, *, properties: bool = False) -> str:
    """Return text as GitHub's workflow commands write it."""
    signs = {"%": "%25", "\r": "%0D", "\n": "%0A", **({":": "%3A", ",": "%2C"} if properties else {})}
    lines = text.split("\n")
    shown = "\n".join("\r".join(map(visible, line.split("\r"))) for line in lines)
    return "".join(signs.get(char, char) for char in shown)

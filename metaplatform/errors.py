"""The project's errors: each names the owner, the culprit and the fix."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, order=True)
class Location:
    """A place in the book: file, 1-based line and column; or the cell of a table, whose line is 0."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        """Render as ``file:line:column``, which editors and terminals make clickable; a cell of a table by its name."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Issue:
    """One fault of the book, as a value; only the outermost caller raises.

    ``rule`` is a stable kebab-case code, ``owner`` the entity at fault (``models.late_arrival``),
    ``culprit`` the offending text, ``nearest`` the valid name closest to it, if any.
    """

    rule: str
    owner: str
    culprit: str
    message: str
    fix: str
    location: Location | None = None
    nearest: str | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Render as two lines: where and what, then the fix."""
        where = f"{self.location}: " if self.location else ""
        hint = f" Did you mean '{self.nearest}'?" if self.nearest else ""
        return f"{where}{self.severity}: {self.owner}: {self.message} [{self.rule}]\n    fix: {self.fix}{hint}"


class MetaplatformError(Exception):
    """Any fault this project reports itself; anything else that escapes is a bug.

    ``owner`` is the entity or resource at fault, ``culprit`` the offending value, ``fix`` what to do.
    """

    def __init__(self, *, owner: str, culprit: str, fix: str) -> None:
        """Compose the message from its three parts."""
        super().__init__(f"{owner}: {culprit}. Fix: {fix}")
        self.owner, self.culprit, self.fix = owner, culprit, fix


class BookError(MetaplatformError):
    """The book cannot be used; carries every issue found, not just the first."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        """Keep the issues, errors first, in file order."""
        self.issues = issues
        errors = [issue for issue in issues if issue.severity == "error"]
        super().__init__(
            owner="book",
            culprit="\n".join((f"{len(errors)} error{'' if len(errors) == 1 else 's'}", *map(str, errors))),
            fix="correct what is named above; `metaplatform validate` checks again",
        )


class DataError(MetaplatformError):
    """Data that breaks what the book declares of it (schema, key, no rows)."""


class ColumnTypeError(DataError):
    """A column that some partitions of a table would have in another type than the others."""


class StorageError(MetaplatformError):
    """The warehouse cannot read or commit a table."""


class RegistryError(MetaplatformError):
    """The model registry lacks what was asked of it."""


class ServerError(MetaplatformError):
    """A local server cannot start, or ended by itself."""

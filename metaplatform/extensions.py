"""What installed distributions add to the platform, found by their entry points; nothing is imported until asked for.

A distribution adds a kind by two entry points of the kind's name: one in the group of its family for what the book
says of it, and one for what is done with it, as in ``metaplatform.sources`` and ``metaplatform.sources.work``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from sys import modules
from typing import Any, Generic, TypeVar

from metaplatform.errors import MetaplatformError

FAMILIES = ("sources", "features", "models", "outputs", "monitors", "notifications")
"""What there are kinds of: each a group of entry points below ``metaplatform``."""
T = TypeVar("T")
_PREFIX = "metaplatform"
_WORK = "work"


@dataclass(frozen=True)
class Extension:
    """What one entry point adds; ``rivals`` are those of other distributions that add the same."""

    point: EntryPoint
    rivals: tuple[EntryPoint, ...] = ()

    @property
    def kind(self) -> str:
        """Return the kind that is added."""
        return self.point.name

    @property
    def origin(self) -> str:
        """Return the distribution with its version, as people know it."""
        return _origin(self.point)

    def load(self) -> Any:
        """Import what the entry point names, and return it.

        Raises:
            MetaplatformError: if that fails, whatever is wrong with it, or others add the same: none of them is chosen.
        """
        if self.rivals:
            raise self.refused(f"{', '.join(map(_origin, self.rivals))} adds the same kind")
        try:
            return self.point.load()
        except Exception as error:
            raise self.refused(f"{type(error).__name__}: {error}") from error

    def refused(self, why: str) -> MetaplatformError:
        """Return the error that says why what is added cannot be used."""
        return MetaplatformError(
            owner=self.origin,
            culprit=f"its entry point '{self.kind}' in {self.point.group} cannot be used: {why}",
            fix="install a version of it that fits, or uninstall it",
        )


def extensions(family: str, *, work: bool = False) -> Mapping[str, Extension]:
    """Return what is added to a family by kind: what the book says of each, or the ``work`` that is done with it."""
    return _by_kind(_group(family, work=work))


class WorkByKind(Generic[T]):
    """What is done with each kind of a family: as built in, or as an installed distribution says, loaded when asked."""

    def __init__(self, family: str, built_in: Mapping[str, T]) -> None:
        """Take the family, and what is done with its built-in kinds."""
        self._family, self._known = family, dict(built_in)

    def __contains__(self, kind: str) -> bool:
        """Tell whether something is installed that does it."""
        return kind in self._known or kind in extensions(self._family, work=True)

    def of(self, kind: str) -> T:
        """Return what is done with a kind.

        Raises:
            MetaplatformError: if nothing is installed that does it, or it cannot be loaded.
        """
        if kind not in self._known:
            found = extensions(self._family, work=True).get(kind)
            if found is None:
                raise MetaplatformError(
                    owner=f"{self._family} of kind '{kind}'",
                    culprit=f"no entry point '{kind}' in {_group(self._family, work=True)} says how they are made",
                    fix="install the distribution that adds the kind; it has to name both of its entry points",
                )
            self._known[kind] = found.load()
        return self._known[kind]


def fingerprint() -> tuple[str, ...]:
    """Return what tells one state of all that is added to the book's language from another: versions and files."""
    found = []
    for family in FAMILIES:
        for extension in extensions(family).values():
            found += [family, extension.kind, extension.point.value, extension.origin, *_files(extension.point.module)]
    return tuple(found)


def _files(module: str) -> list[str]:
    """Return name, size and time of the files of the top-level package of ``module``, once that is loaded."""
    loaded = modules.get(module.partition(".")[0])
    file = getattr(loaded, "__file__", None)
    if file is None:
        return []
    path = Path(file)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return [f"{each} {each.stat().st_size} {each.stat().st_mtime_ns}" for each in files]


def _group(family: str, *, work: bool = False) -> str:
    return ".".join((_PREFIX, family, *([_WORK] if work else [])))


@cache
def _all_points() -> Any:
    """Return all entry points: each group asked for by itself would be looked for on the disk."""
    return entry_points()


@cache
def _by_kind(group: str) -> Mapping[str, Extension]:
    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(_all_points().select(group=group), key=_origin):
        found.setdefault(point.name, []).append(point)
    return {kind: Extension(first, tuple(rivals)) for kind, (first, *rivals) in found.items()}


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.module

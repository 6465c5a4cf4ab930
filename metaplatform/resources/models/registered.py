"""What MLflow's database says of all versions of all models, for looks: its client asks for each one, several times.

Nothing is written here; who has the database on a server is asked each time, an SQLite file when it has changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from metaplatform.resources.files.sqlite_changes import state_of
from metaplatform.resources.models.model_version import ModelVersion, version_of
from metaplatform.resources.process.remembered import Remembered

CHAMPION, CHALLENGER = "champion", "challenger"
_DELETED = "Deleted_Internal"
_QUERIES = {
    "versions": "SELECT name, version, run_id, source FROM model_versions WHERE current_stage <> :deleted",
    "tags": "SELECT name, version, key, value FROM model_version_tags",
    "aliases": "SELECT name, version, alias FROM registered_model_aliases",
}


@dataclass(frozen=True)
class Registered:
    """The versions of all models at one moment, each made into a value when it is asked for."""

    found: Mapping[str, tuple[SimpleNamespace, ...]] = field(default_factory=dict)
    ui_url: str = ""

    def versions(self, model: str) -> tuple[ModelVersion, ...]:
        """Return all versions of a model, oldest first.

        Raises:
            RegistryError: if another hand registered one.
        """
        return tuple(version_of(each, ui_url=self.ui_url) for each in self.found.get(model, ()))

    def version(self, model: str, version: int) -> ModelVersion | None:
        """Return one version, None if there is no such."""
        wanted = (each for each in self.found.get(model, ()) if each.version == version)
        return next((version_of(each, ui_url=self.ui_url) for each in wanted), None)

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version that scores, None if there is none yet."""
        wanted = (each for each in self.found.get(model, ()) if CHAMPION in each.aliases)
        return next((version_of(each, ui_url=self.ui_url) for each in wanted), None)


_known: Remembered[tuple[str, str], Registered] = Remembered()


def registered_in(tracking_uri: str, database: Path | None, *, ui_url: str) -> Registered:
    """Return what the database at ``tracking_uri`` says, which is the file ``database`` if it is one."""
    state = state_of(database) if database else None
    if state is None:
        return Registered(_read(tracking_uri), ui_url)
    return _known.of((tracking_uri, ui_url), (state,), lambda: Registered(_read(tracking_uri), ui_url))


def _read(tracking_uri: str) -> dict[str, tuple[SimpleNamespace, ...]]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    engine = create_engine(tracking_uri, poolclass=NullPool)
    with engine.connect() as connection:
        rows = {
            name: connection.execute(text(query), {"deleted": _DELETED} if name == "versions" else {}).all()
            for name, query in _QUERIES.items()
        }
    tags: dict[tuple[str, int], dict[str, str]] = {}
    for name, version, key, value in rows["tags"]:
        tags.setdefault((name, version), {})[key] = value
    aliases: dict[tuple[str, int], list[str]] = {}
    for name, version, alias in rows["aliases"]:
        aliases.setdefault((name, version), []).append(alias)
    found: dict[str, list[SimpleNamespace]] = {}
    for name, version, run_id, source in sorted(rows["versions"], key=lambda row: row[1]):
        facts = {"tags": tags.get((name, version), {}), "aliases": aliases.get((name, version), [])}
        each = SimpleNamespace(name=name, version=version, run_id=run_id, source=source, **facts)
        found.setdefault(name, []).append(each)
    return {name: tuple(versions) for name, versions in found.items()}

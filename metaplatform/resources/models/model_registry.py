"""Model versions in MLflow: one run a version, aliases ``champion`` and ``challenger``, a way back.

Only ``MlflowClient`` with its own URIs is used: nothing global is set, so parallel steps do not meet.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from filelock import FileLock

from metaplatform.chapters import MODELS
from metaplatform.errors import RegistryError
from metaplatform.resources.files.sqlite_changes import state_of
from metaplatform.resources.files.sqlite_files import damage_of
from metaplatform.resources.models import mlflow_logging
from metaplatform.resources.models.mlflow_places import put_places_right
from metaplatform.resources.models.model_bundle import ModelBundle
from metaplatform.resources.models.model_version import ModelVersion, version_of
from metaplatform.resources.models.registered import CHALLENGER, CHAMPION, Registered, registered_in
from metaplatform.resources.models.version_records import (
    Standing,
    VersionRecord,
    keep_standing,
    keep_version,
    kept_standing,
    kept_versions,
    restore_version,
)
from metaplatform.resources.process.quiet import quiet_libraries
from metaplatform.resources.process.remembered import Remembered
from metaplatform.specs.records.ledger import Promotion
from metaplatform.text.plurals import counted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

__all__ = ["CHALLENGER", "CHAMPION", "ModelRegistry", "ModelVersion"]

_HISTORY = "metaplatform.champions"
_LONGEST_HISTORY = 500
_MOST_VERSIONS = 10_000
_ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
_READY: set[str] = set()
_answers: Remembered[tuple[str, ...], Any] = Remembered()


class ModelRegistry(dg.ConfigurableResource):  # type: ignore[type-arg]
    """MLflow's tracking store and model registry in one database.

    ``tracking_uri`` as in ``sqlite:////deployment/mlflow.db``; ``artifact_root`` the folder of the bundles;
    ``ui_url`` the address of MLflow's UI, if there is one, or where it is below the pages that link to it;
    ``loader_module`` the module that serves a bundle.
    """

    tracking_uri: str
    artifact_root: str
    ui_url: str = ""
    experiment: str = "metaplatform"
    loader_module: str = "metaplatform.compute.serving"

    def ensure(self) -> None:
        """Make or migrate the database, once, under a lock: two processes at it at once break it.

        What a moved root's database says of places is put right.

        Raises:
            RegistryError: if it is damaged, or gone while the files of its versions are there.
        """
        if self._is_ready():
            return
        with self._locked():
            if database := self._database:
                _check_database(database, Path(self.artifact_root))
            self._make_tables()
            if database:
                put_places_right(database, Path(self.artifact_root), experiment=self.experiment)
        _READY.add(self.tracking_uri)

    def ensure_experiment(self, name: str) -> None:
        """Make the experiment ``<experiment>/<name>``, its place beside the models', if it is not there."""
        client = self._client()
        with self._locked():
            self._experiment(client, name)

    def new_version(
        self,
        model: str,
        bundle: ModelBundle,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float | Sequence[float] | None],
        tags: Mapping[str, str],
        inputs: Iterable[tuple[str, int]] = (),
        requirements: Iterable[str] = (),
    ) -> ModelVersion:
        """Log the bundle in an MLflow run of its own, register it, and make it the challenger.

        ``metrics`` that are sequences are logged step by step, None is left out. ``tags`` go to run and
        version. ``inputs`` are the (reference, Delta version) pairs read, ``requirements`` the
        distributions that its scores need beside the platform's own. If anything fails, the run ends
        FAILED, and neither aliases nor earlier versions change.
        """
        client, inputs = self._client(), tuple(inputs)
        tags = {**tags, **mlflow_logging.lineage_tags(bundle)}
        with self._locked():
            run = client.create_run(
                self._experiment(client, model), tags=tags, run_name=f"{model} {bundle.lineage.cut:%Y-%m-%d}"
            )
            try:
                mlflow_logging.log_facts(client, run, params=params, metrics=metrics, inputs=inputs)
                logged = mlflow_logging.log_bundle(
                    client, run, model, bundle, loader_module=self.loader_module, requirements=requirements
                )
                version = self._add_version(client, model, logged, tags)
                record = VersionRecord(version, tags, params, metrics, inputs)
                keep_version(Path(self.artifact_root) / model / "models" / logged.model_id, record)
                self._keep_standing(model)
            except BaseException:
                client.set_terminated(run.info.run_id, "FAILED")
                raise
            client.set_terminated(run.info.run_id, "FINISHED")
        return self.version(model, version)

    def promote(self, model: str, version: int) -> None:
        """Make a version the champion; again changes nothing.

        Raises:
            RegistryError: if there is no such version.
        """
        client = self._client()
        self.version(model, version)
        with self._locked():
            history = self._champions(model)
            if not history or history[-1] != version:
                self._set_champion(client, model, version, [*history, version])
            if CHALLENGER in self.version(model, version).aliases:
                client.delete_registered_model_alias(model, CHALLENGER)
            self._keep_standing(model)

    def rollback(self, model: str, to: int | None = None) -> ModelVersion:
        """Make the previous champion, or version ``to``, the champion again, and return it.

        Raises:
            RegistryError: if there was no champion before, or there is no version ``to``.
        """
        client = self._client()
        with self._locked():
            history = self._champions(model)
            earlier = history[:-1]
            if to is None and not earlier:
                raise RegistryError(
                    owner=MODELS.ref(model),
                    culprit="there is no earlier champion to go back to",
                    fix="name a version to go to (see `metaplatform versions`)",
                )
            target = earlier[-1] if to is None else to
            self.version(model, target)
            self._set_champion(client, model, target, earlier if to is None else [*history, target])
            self._keep_standing(model)
        return self.version(model, target)

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version that scores, None if there is none yet."""
        return self._by_alias(model, CHAMPION)

    def champions(self, model: str) -> tuple[ModelVersion, ...]:
        """Return the versions that became champion, the present one first; those that a rollback undid are left out."""
        known = {found.version: found for found in self.versions(model)}
        return tuple(known[version] for version in reversed(self._champions(model)) if version in known)

    def challenger(self, model: str) -> ModelVersion | None:
        """Return the newest version that has not become champion, None if there is none."""
        return self._by_alias(model, CHALLENGER)

    def version(self, model: str, version: int) -> ModelVersion:
        """Return one version.

        Raises:
            RegistryError: if there is no such version.
        """
        found = self._ask(lambda client: client.get_model_version(model, str(version)), "version", model, str(version))
        if found is None:
            known = ", ".join(str(other.version) for other in self.versions(model)) or "none"
            raise RegistryError(
                owner=MODELS.ref(model),
                culprit=f"there is no version {version}",
                fix=f"use one of the versions there are: {known}",
            )
        return version_of(found, ui_url=self.ui_url)

    def versions(self, model: str) -> tuple[ModelVersion, ...]:
        """Return all versions, oldest first; none of a model that was never trained."""
        found: tuple[ModelVersion, ...] = self._ask(lambda client: self._versions(client, model), "versions", model)
        return found or ()

    def _versions(self, client: "MlflowClient", model: str) -> tuple[ModelVersion, ...]:
        registered = client.get_registered_model(model)
        found = client.search_model_versions(f"name='{model}'", max_results=_MOST_VERSIONS)
        known = (version_of(version, ui_url=self.ui_url) for version in found)
        # A search does not tell aliases.
        named = (replace(version, aliases=_aliases_of(version.version, registered.aliases)) for version in known)
        return tuple(sorted(named, key=lambda version: version.version))

    def registered(self) -> Registered:
        """Return all versions of all models as they are now, in one reading: for whoever asks about many."""
        self.ensure()
        return registered_in(self.tracking_uri, self._database, ui_url=self.ui_url)

    def definitions(self, version: ModelVersion) -> Mapping[str, str]:
        """Return what the features of a version meant when it learnt them; a process reads it once.

        Raises:
            RegistryError: if its bundle is damaged.
        """
        return mlflow_logging.read_definitions(self.tracking_uri, version.source)

    def load(self, model: str, version: int) -> ModelBundle:
        """Return a version's bundle; it never changes, so a process reads it once.

        Raises:
            RegistryError: if there is no such version, or its bundle is damaged.
        """
        return mlflow_logging.read_bundle(self.tracking_uri, self.version(model, version).source)

    def restore(self, promotions: Iterable[Promotion]) -> dict[str, list[int]]:
        """Fill a new database with what lies beside the versions' files and, for an earlier release's, in the ledger.

        Returns the numbers of the versions by model. Metrics that were logged later, and others' experiments, are lost.

        Raises:
            RegistryError: if the number of a version cannot be told.
            StorageError: if a record is damaged.
        """
        verdicts = list(promotions)
        with self._locked():
            self._make_tables()
            _READY.add(self.tracking_uri)
            models = sorted({files.parent.parent for files in Path(self.artifact_root).glob("*/models/*")})
            return {
                folder.name: self._restore_model(folder, [each for each in verdicts if each.model == folder.name])
                for folder in models
            }

    def _restore_model(self, folder: Path, promotions: Sequence[Promotion]) -> list[int]:
        """Register the versions of the model whose files are in ``folder``, and set its aliases."""
        client, model = self._open(), folder.name
        kept = kept_versions(folder, promotions)
        if not kept:
            return []
        experiment = self._experiment(client, model)
        client.create_registered_model(model)
        for files, record in kept.values():
            restore_version(client, experiment, model, files, record)
        standing = kept_standing(folder, promotions, newest=max(kept))
        champions = [version for version in standing.champions if version in kept]
        if champions:
            self._set_champion(client, model, champions[-1], champions)
        if standing.challenger in kept:
            client.set_registered_model_alias(model, CHALLENGER, str(standing.challenger))
        return list(kept)

    def _make_tables(self) -> None:
        """Let MLflow make or migrate its tables."""
        quiet_libraries(shared=True)
        with warnings.catch_warnings():
            # MLflow's own tables use what SQLAlchemy 2.1 deprecates: nothing a user could fix.
            warnings.simplefilter("ignore", DeprecationWarning)
            client = self._open()
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)

    def _keep_standing(self, model: str) -> None:
        challenger = self.challenger(model)
        standing = Standing(self._champions(model), challenger.version if challenger else None)
        keep_standing(Path(self.artifact_root) / model, standing)

    def _is_ready(self) -> bool:
        database = self._database
        return self.tracking_uri in _READY and (database is None or database.exists())

    @property
    def _database(self) -> Path | None:
        """Return MLflow's database if it is a file."""
        found = self.tracking_uri.removeprefix("sqlite:///")
        return Path(found) if found != self.tracking_uri else None

    def _client(self) -> "MlflowClient":
        self.ensure()
        return self._open()

    def _open(self) -> "MlflowClient":
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the registry for a change; other threads and processes wait.

        SQLite has one writer at a time anyway, and MLflow fails where two runs log the same input at once.
        """
        folder = Path(self.artifact_root)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".registry.lock", is_singleton=True):
            yield

    def _experiment(self, client: "MlflowClient", model: str) -> str:
        name = f"{self.experiment}/{model}"
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = (Path(self.artifact_root).resolve() / model).as_uri()
        return str(client.create_experiment(name, artifact_location=location))

    def _add_version(self, client: "MlflowClient", model: str, logged: "LoggedModel", tags: Mapping[str, str]) -> int:
        """Register a logged model as the newest version, and make it the challenger."""
        if self._ask(lambda asked: asked.get_registered_model(model)) is None:
            client.create_registered_model(model)
        # Its address as models:/<id> would be looked up in MLflow's global store, not in this one.
        created = client.create_model_version(
            model, source=logged.artifact_location, run_id=logged.source_run_id, tags=dict(tags)
        )
        client.set_logged_model_tags(logged.model_id, mlflow_logging.version_tags(model, created.version))
        client.set_registered_model_alias(model, CHALLENGER, created.version)
        return int(created.version)

    def _champions(self, model: str) -> list[int]:
        """Return the champions in the order they became it, the present one last: what the alias says, counts."""
        registered = self._ask(lambda client: client.get_registered_model(model))
        history: list[int] = json.loads(registered.tags.get(_HISTORY, "[]")) if registered else []
        champion = self.champion(model)
        if champion is not None and history[-1:] != [champion.version]:
            history.append(champion.version)
        return history

    def _set_champion(self, client: "MlflowClient", model: str, version: int, history: Sequence[int]) -> None:
        client.set_registered_model_alias(model, CHAMPION, str(version))
        client.set_registered_model_tag(model, _HISTORY, json.dumps(history[-_LONGEST_HISTORY:]))

    def _by_alias(self, model: str, alias: str) -> ModelVersion | None:
        found = self._ask(lambda client: client.get_model_version_by_alias(model, alias), "alias", model, alias)
        return None if found is None else version_of(found, ui_url=self.ui_url)

    def _ask(self, question: Callable[["MlflowClient"], Any], *known_as: str) -> Any:
        """Return the registry's answer, None if there is no such thing.

        What is ``known_as`` something is asked again once MLflow's database has changed; always of a server.
        """
        database = self._database if known_as else None
        state = state_of(database) if database else None
        if state is None:
            return self._answer(question)
        return _answers.of((self.tracking_uri, self.ui_url, *known_as), (state,), lambda: self._answer(question))

    def _answer(self, question: Callable[["MlflowClient"], Any]) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return question(self._client())
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise


def _aliases_of(version: int, aliases: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(alias for alias, number in aliases.items() if int(number) == version))


def loss_of(database: Path, artifact_root: Path) -> str | None:
    """Return why MLflow's database cannot be used: it cannot be read, or is gone while versions' files are there."""
    if database.exists() and database.stat().st_size:
        return damage_of(database)
    versions = sum(1 for _ in artifact_root.glob("*/models/*"))
    if not versions:
        return None
    return f"it is gone, but the files of {counted(versions, 'model version')} are in {artifact_root.name}"


def _check_database(database: Path, artifact_root: Path) -> None:
    """Refuse a database that would be made again beside the versions that it has lost, or that cannot be read."""
    if what := loss_of(database, artifact_root):
        raise RegistryError(
            owner=str(database),
            culprit=what,
            fix=f"restore it from a backup, or make it again: `metaplatform root restore {database.parent}`",
        )

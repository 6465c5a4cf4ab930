"""What MLflow's database knows of model versions, once more in small files beside theirs: from them it is made again.

Of each version ``<model>/models/<id>/version.json``, of each model ``<model>/standing.json``: who is champion, and was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from metaplatform.chapters import MODELS
from metaplatform.errors import RegistryError
from metaplatform.resources.files.json_records import damaged, read_record, write_record
from metaplatform.resources.models.mlflow_logging import BUNDLE_FOLDER, lineage_tags, log_facts
from metaplatform.resources.models.model_bundle import ModelBundle
from metaplatform.specs.records.ledger import Promotion
from metaplatform.text.plurals import counted

if TYPE_CHECKING:
    from mlflow import MlflowClient

_VERSION, _STANDING = "version.json", "standing.json"
_ABOUT = {_VERSION: "what MLflow knew of the version", _STANDING: "which versions were champions"}
Metrics = Mapping[str, float | Sequence[float] | None]
Kept = TypeVar("Kept", "VersionRecord", "Standing")


@dataclass(frozen=True)
class VersionRecord:
    """A registered version: its number, and what its run was given; ``metrics`` step by step where they are many."""

    version: int
    tags: Mapping[str, str]
    params: Mapping[str, Any]
    metrics: Metrics
    inputs: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Standing:
    """The versions of a model that became champion, the present one last, and the one that may become it."""

    champions: Sequence[int] = ()
    challenger: int | None = None


def keep_version(files: Path, record: VersionRecord) -> None:
    """Keep what is known of the version whose files are in the folder ``files``."""
    write_record(files / _VERSION, asdict(record))


def keep_standing(model: Path, standing: Standing) -> None:
    """Keep who is champion of the model whose versions are below ``model``."""
    write_record(model / _STANDING, asdict(standing))


def kept_standing(model: Path, promotions: Iterable[Promotion], newest: int) -> Standing:
    """Return who is champion; where an earlier release has kept none, as the ledger's ``promotions`` have it."""
    kept = read_record(model / _STANDING, about=_ABOUT[_STANDING])
    if kept is not None:
        return _read(Standing, kept, model / _STANDING)
    won = sorted((each for each in promotions if each.outcome == "promoted"), key=lambda each: each.decided_at)
    champions = tuple(each.challenger_version for each in won)
    return Standing(champions, None if newest in champions else newest)


def version_files(model: Path) -> list[Path]:
    """Return the folders of the versions whose files are whole, oldest first."""
    return sorted((found.parent.parent for found in model.glob("models/*/artifacts/MLmodel")), key=made_at)


def made_at(files: Path) -> datetime:
    """Return when a version's files were made.

    Raises:
        RegistryError: if they do not tell.
    """
    described = files / "artifacts" / "MLmodel"
    try:
        return datetime.fromisoformat(f"{yaml.safe_load(described.read_bytes())['utc_time_created']}+00:00")
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise RegistryError(
            owner=str(described), culprit="it does not say when it was made", fix="restore it from a backup"
        ) from error


def kept_versions(model: Path, promotions: Sequence[Promotion]) -> dict[int, tuple[Path, VersionRecord]]:
    """Return each version by number: the folder of its files, and what is known of it.

    Files without a record are an earlier release's: in the order in which they were made they have the numbers that
    are missing of those that the ledger's ``promotions`` name. Are none missing, they never became a version.

    Raises:
        RegistryError: if these numbers cannot be told.
    """
    kept = {files: read_record(files / _VERSION, about=_ABOUT[_VERSION]) for files in version_files(model)}
    found = {
        record.version: (files, record)
        for files, values in kept.items()
        if values is not None
        for record in [_read(VersionRecord, values, files / _VERSION)]
    }
    nameless = [files for files, values in kept.items() if values is None]
    verdicts = {promotion.challenger_version: promotion for promotion in promotions}
    newest = max((*found, *verdicts), default=len(nameless))
    missing = [number for number in range(1, newest + 1) if number not in found]
    if nameless and missing and len(nameless) != len(missing):
        raise RegistryError(
            owner=MODELS.ref(model.name),
            culprit=f"which of the versions {', '.join(map(str, missing))} are the files of "
            f"{counted(len(nameless), 'folder')} in {model / 'models'} cannot be told",
            fix="move away the folders that never became a version",
        )
    named = {
        number: (files, _of_bundle(files, number, verdicts.get(number)))
        for number, files in zip(missing, nameless, strict=False)
    }
    return dict(sorted({**found, **named}.items()))


def restore_version(client: "MlflowClient", experiment: str, model: str, files: Path, record: VersionRecord) -> None:
    """Register a version once more, with a run of its own; the dates of its registration are today's."""
    made = int(made_at(files).timestamp() * 1000)
    tags = {name: str(value) for name, value in record.tags.items()}
    run = client.create_run(experiment, start_time=made, tags=tags, run_name=f"{model} version {record.version}")
    inputs = [(ref, delta_version) for ref, delta_version in record.inputs]
    log_facts(client, run, params=record.params, metrics=record.metrics, inputs=inputs)
    client.set_terminated(run.info.run_id, "FINISHED", end_time=made)
    source = (files / "artifacts").resolve().as_uri()

    def register() -> int:
        return int(client.create_model_version(model, source=source, run_id=run.info.run_id, tags=tags).version)

    # MLflow numbers them itself, and never gives the number of one that was deleted.
    while (number := register()) < record.version:
        client.delete_model_version(model, str(number))


def _of_bundle(files: Path, number: int, verdict: Promotion | None) -> VersionRecord:
    """Return what a version's bundle and the verdict on it tell."""
    bundle = ModelBundle.read(files / "artifacts" / BUNDLE_FOLDER)
    run = {"dagster.run_id": verdict.run_id} if verdict else {}
    return VersionRecord(
        number, {**run, **lineage_tags(bundle)}, {}, dict(bundle.metrics), tuple(bundle.lineage.inputs.items())
    )


def _read(kind: type[Kept], values: Mapping[str, Any], path: Path) -> Kept:
    try:
        return kind(**values)
    except TypeError as error:
        raise damaged(path, _ABOUT[path.name]) from error

"""What a training run leaves in MLflow: parameters, metrics, inputs, and the bundle as a servable model, read back."""

import json
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

from metaplatform.errors import RegistryError
from metaplatform.resources.models.model_bundle import ModelBundle
from metaplatform.resources.models.model_version import HOLDOUT_TAG, INSTANTS, PREFIX, ROWS_TAG
from metaplatform.specs.records.encoding import FittedFeature

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.models import ModelSignature

BUNDLE_FOLDER = "data/bundle"
"""Where a logged model keeps the bundle."""
_REQUIRED = ("metaplatform", "mlflow", "numpy", "pandas", "pyarrow")
"""What serving any model needs."""
_BATCH = 100
_CACHED_BUNDLES, _CACHED_DEFINITIONS = 16, 65_536
_LONGEST_PARAMETER = 6_000


def lineage_tags(bundle: ModelBundle) -> dict[str, str]:
    """Return the tags that tell a version's training window without reading its bundle."""
    lineage = bundle.lineage.to_json()
    return {
        **{PREFIX + name: str(lineage[name]) for name in (*INSTANTS, "spec_hash")},
        f"{PREFIX}digest": bundle.digest,
        HOLDOUT_TAG: str(lineage["holdout_from"]),
        ROWS_TAG: str(bundle.lineage.labelled_rows),
    }


def log_facts(
    client: "MlflowClient",
    run: "Run",
    *,
    params: Mapping[str, Any],
    metrics: Mapping[str, float | Sequence[float] | None],
    inputs: Iterable[tuple[str, int]],
) -> None:
    """Log parameters, metrics (sequences step by step, None left out) and the tables read."""
    from mlflow.entities import Metric, Param

    time = run.info.start_time
    logged = iter(
        Metric(name, value, time, step)
        for name, values in metrics.items()
        if values is not None
        for step, value in enumerate(values if isinstance(values, Sequence) else (values,))
    )
    settings = iter(Param(name, str(value)[:_LONGEST_PARAMETER]) for name, value in params.items())
    while batch := list(islice(settings, _BATCH)):
        client.log_batch(run.info.run_id, params=batch)
    while points := list(islice(logged, 10 * _BATCH)):
        client.log_batch(run.info.run_id, metrics=points)
    client.log_inputs(run.info.run_id, _datasets(inputs))


def point_in_time(moment: datetime) -> dict[str, int]:
    """Return the ``timestamp`` and ``step`` of a metric about ``moment``.

    MLflow takes no times before 1970: such a point is at 1970, and its step, which may be negative, says how many
    hours earlier it is.
    """
    seconds = moment.timestamp()
    return {"timestamp": max(0, int(seconds * 1000)), "step": min(0, int(seconds // 3600))}


def _datasets(inputs: Iterable[tuple[str, int]]) -> list[Any]:
    from mlflow.entities import Dataset, DatasetInput

    return [
        DatasetInput(
            Dataset(
                name=ref,
                digest=f"version {delta_version}",
                source_type="delta_table",
                source=f'{{"delta_table_name": "{ref}", "delta_table_version": {delta_version}}}',
            )
        )
        for ref, delta_version in inputs
    ]


def log_bundle(
    client: "MlflowClient",
    run: "Run",
    model: str,
    bundle: ModelBundle,
    *,
    loader_module: str,
    requirements: Iterable[str],
) -> "LoggedModel":
    """Log the bundle as a model that ``mlflow models serve`` understands, and return it.

    ``requirements`` are the distributions that its scores need beside the platform's own.
    """
    from mlflow.models import Model

    logged = client.create_logged_model(run.info.experiment_id, name=model, source_run_id=run.info.run_id)
    with tempfile.TemporaryDirectory() as folder:
        source, packed = Path(folder, Path(BUNDLE_FOLDER).name), Path(folder, "model")
        bundle.write(source)
        # Given to the model: given to the function, it brings advice on input examples.
        described = Model(run_id=run.info.run_id, model_id=logged.model_id, signature=signature_of(bundle))
        _saver()(
            path=str(packed),
            loader_module=loader_module,
            data_path=str(source),
            mlflow_model=described,
            conda_env=_environment(requirements),
        )
        client.log_model_artifacts(logged.model_id, str(packed))
    return client.finalize_logged_model(logged.model_id, "READY")


def signature_of(bundle: ModelBundle) -> "ModelSignature":
    """Return the signature of the served model: raw features in, one score out; any feature may be null."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs: list[Any] = [
        ColSpec(_column_type(feature), feature.name, required=False) for feature in bundle.encoding.features
    ]
    return ModelSignature(Schema(inputs), Schema([ColSpec("double", bundle.score_column)]))


def _column_type(feature: FittedFeature) -> Any:
    """Return MLflow's type of a feature; it takes no integers for ``double``, and no nulls for ``long``."""
    from mlflow.types.schema import AnyType

    if feature.kind == "number":
        return "double" if feature.dtype.startswith(("float", "decimal")) else AnyType()  # type: ignore[no-untyped-call]
    return {"category": "string", "time": "datetime"}[feature.kind]


def _environment(requirements: Iterable[str]) -> dict[str, Any]:
    """Return what serving needs, spelled out: MLflow otherwise loads the model in another process to find out."""
    pinned = [f"{name}=={version(name)}" for name in (*_REQUIRED, *requirements)]
    return {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python_version()}", "pip", {"pip": pinned}],
    }


@cache
def _saver() -> Callable[..., None]:
    """Return ``mlflow.pyfunc.save_model``, imported once, without its warnings of types of MLflow's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        from mlflow.pyfunc import save_model
    return save_model  # type: ignore[no-any-return]


def version_tags(model: str, number: str) -> dict[str, str]:
    """Return the tag by which MLflow's UI leads from a logged model to its registered version."""
    return {"mlflow.modelVersions": json.dumps([{"name": model, "version": int(number)}])}


@lru_cache(maxsize=_CACHED_DEFINITIONS)
def read_definitions(tracking_uri: str, source: str) -> Mapping[str, str]:
    """Return what the features of the version at ``source`` meant when it learnt them."""
    return read_bundle(tracking_uri, source).lineage.definitions


@lru_cache(maxsize=_CACHED_BUNDLES)
def read_bundle(tracking_uri: str, source: str) -> ModelBundle:
    """Return the bundle of the version at ``source``.

    Raises:
        RegistryError: if it cannot be read.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        folder = download_artifacts(artifact_uri=source, tracking_uri=tracking_uri)
    except (OSError, MlflowException) as error:
        raise RegistryError(
            owner="model registry",
            culprit=f"the files in {source} cannot be read ({error})",
            fix="restore the folder from a backup, roll back to another version, or train again",
        ) from error
    return ModelBundle.read(Path(folder) / BUNDLE_FOLDER)

"""dagster-mlflow's resource, imported when a step first asks for it."""

import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg

from metaplatform.resources.models.model_registry import ModelRegistry

_EXPERIMENT = "monitoring"


def mlflow_tracking(registry: ModelRegistry) -> dg.ResourceDefinition:
    """Return dagster-mlflow's tracking resource, in the registry's database: one MLflow run for each Dagster run.

    It fits what is logged over time, such as realized metrics; model versions have runs of their own, since
    two models in one Dagster run would clash here. Importing it takes seconds, so loading definitions must not.
    """

    @dg.resource(
        config_schema={"experiment_name": str, "mlflow_tracking_uri": str},
        description="dagster-mlflow: the MLflow run of this Dagster run",
    )
    def tracking(context: dg.InitResourceContext) -> Iterator[object]:
        # Made by MLflow itself, its place would be the folder that this process was started in.
        registry.ensure_experiment(_EXPERIMENT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)
            from dagster_mlflow.resources import MlFlow

            tracked: Any = MlFlow(context)  # type: ignore[no-untyped-call]
        status = "FAILED"
        try:
            yield tracked
            status = "FINISHED"
        finally:
            # The run is global in this process: left open, it would swallow the next Dagster run's metrics.
            tracked.end_run(status)

    name = f"{registry.experiment}/{_EXPERIMENT}"
    return tracking.configured({"experiment_name": name, "mlflow_tracking_uri": registry.tracking_uri})

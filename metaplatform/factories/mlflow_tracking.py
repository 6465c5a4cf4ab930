"""dagster-mlflow's resource, imported when a step first asks for it."""

import warnings
from collections.abc import Iterator
from typing import Any

import dagster as dg

EXPERIMENT = "metaplatform/monitoring"


def mlflow_tracking(tracking_uri: str) -> dg.ResourceDefinition:
    """Return dagster-mlflow's tracking resource: one MLflow run for each Dagster run.

    It fits what is logged over time, such as realized metrics; model versions have runs of their own, since
    two models in one Dagster run would clash here. Importing it takes seconds, so loading definitions must not.
    """

    @dg.resource(
        config_schema={"experiment_name": str, "mlflow_tracking_uri": str},
        description="dagster-mlflow: the MLflow run of this Dagster run",
    )
    def tracking(context: dg.InitResourceContext) -> Iterator[object]:
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

    return tracking.configured({"experiment_name": EXPERIMENT, "mlflow_tracking_uri": tracking_uri})

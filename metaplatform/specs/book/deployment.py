"""Where a deployment keeps its things: one storage root, and the book's folder."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from metaplatform import places
from metaplatform.specs.entities.notifications import AppriseNotification, FileNotification, Notification
from metaplatform.specs.fields.base import EnvironmentVariable, Spec

if TYPE_CHECKING:
    from metaplatform.specs.entities.alerts import AlertSpec

MLFLOW_LINK, REPORTS_LINK = "/mlflow", "/reports"
"""Where links on Dagster's pages find MLflow and the reports: below those pages, whatever ports and hosts there are."""


class Deployment(Spec):
    """Settings of one deployment, read from the environment by the composition root.

    ``book`` is the folder of the instruction book, ``root`` the storage root. ``environment`` names the
    overlay that is laid over the book, none if empty. ``executor`` runs steps in
    the run's process or in one each. Servers are on loopback. ``public_url`` is the address under which people
    reach Dagster's page, through a proxy perhaps: links in messages begin with it.
    ``keep_versions_days`` is how long the rows of a table's older versions stay readable, ``keep_runs_days`` how long
    Dagster's pages show all of a run that has ended.
    ``notify_url_env`` names the environment variable with the Apprise URL that the platform's own messages go to,
    instead of where the book's ``alerts`` say; a file below the root has them in any case.
    ``book_source`` is the one source of truth: the folder's YAML files, or the tables of the database whose URL is in
    the environment variable ``book_url_env``; ``book`` then only says where relative paths start.
    ``source_folders`` are folders that sources may read beside the project's own and those of packages; in the
    environment they are separated as in PATH.
    """

    book: Path
    root: Path
    environment: str = Field(default="", pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9_-]*$")
    executor: Literal["in_process", "multiprocess"] = "in_process"
    sensor_interval_seconds: int = Field(default=10, ge=1)
    threads: int = Field(default=0, ge=0)
    keep_versions_days: int = Field(default=7, ge=1)
    keep_runs_days: int = Field(default=90, ge=30)
    memory_limit: str = Field(default="", pattern=r"^$|^[0-9]+(\.[0-9]+)? ?(KB|MB|GB|TB|KiB|MiB|GiB|TiB)$")
    mlflow_port: int = Field(default=5000, ge=1, le=65_535)
    reports_port: int = Field(default=8001, ge=1, le=65_535)
    public_url: str = Field(default="", pattern=r"^$|^https?://[^\s/?#]+(/[^\s?#]*)?$")
    notify_url_env: EnvironmentVariable | Literal[""] = ""
    book_source: Literal["yaml", "sql"] = "yaml"
    book_url_env: EnvironmentVariable = "METAPLATFORM_BOOK_URL"
    source_folders: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], folder: Path) -> "Deployment":
        """Read ``METAPLATFORM_*`` variables; relative paths start from ``folder``.

        Raises:
            ValueError: if a variable's value does not fit (pydantic's ValidationError).
        """
        numbers = (
            "sensor_interval_seconds",
            "threads",
            "keep_versions_days",
            "keep_runs_days",
            "mlflow_port",
            "reports_port",
        )
        given: dict[str, object] = {
            field: environment[f"METAPLATFORM_{field.upper()}"]
            for field in cls.model_fields
            if environment.get(f"METAPLATFORM_{field.upper()}")
        }
        for field in numbers:
            if field in given:
                given[field] = int(str(given[field]))
        given["book"] = (folder / str(given.get("book", "metadata"))).resolve()
        given["root"] = (folder / str(given.get("root", ".metaplatform"))).resolve()
        listed = str(given.get("source_folders", "")).split(os.pathsep)
        given["source_folders"] = tuple(str((folder / each).resolve()) for each in listed if each)
        return cls.model_validate(given)

    def to_environment(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environment` reads this deployment from, whatever else is set."""
        settings = {**self.model_dump(mode="json"), "source_folders": os.pathsep.join(self.source_folders)}
        return {f"METAPLATFORM_{name.upper()}": str(value) for name, value in settings.items()}

    @property
    def in_process(self) -> "Deployment":
        """Return the deployment as whoever runs its steps one after the other, in this process, sees it."""
        return self.model_copy(update={"executor": "in_process"})

    @property
    def tracking_uri(self) -> str:
        """Return MLflow's database below the root."""
        return f"sqlite:///{self.root / places.MLFLOW_DATABASE}"

    @property
    def model_files(self) -> Path:
        """Return the folder of the models' files below the root."""
        return self.root / places.MODEL_FILES

    def channels(self, alerts: "Iterable[AlertSpec]") -> tuple[Notification, ...]:
        """Return where the platform's own messages go: a file, and what the deployment says, or else the book.

        Each channel is named once.
        """
        told: list[Notification] = [channel for alert in alerts for channel in alert.notify]
        if self.notify_url_env:
            told = [AppriseNotification(kind="apprise", url_env=self.notify_url_env)]
        return tuple(dict.fromkeys((FileNotification(kind="file"), *told)))

    @property
    def dagster_home(self) -> Path:
        """Return DAGSTER_HOME."""
        return self.root / places.DAGSTER

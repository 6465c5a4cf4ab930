"""Dagster's storage in PostgreSQL, over the driver that is installed.

The settings of each Dagster home that chooses it name this module by its path: it must not move.
"""

from typing import Self

from dagster._core.storage.config import PostgresStorageConfig
from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config

from metaplatform.resources.process.shared_history import history_url


class PostgreSQLStorage(DagsterPostgresStorage):
    """Dagster's own; ``postgresql://`` would mean psycopg 3 to SQLAlchemy 2.1, which Dagster does not use."""

    @classmethod
    def _of(cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig) -> Self:
        url = history_url(pg_url_from_config(config_value))
        return cls(url.render_as_string(hide_password=False), inst_data=inst_data)

    from_config_value = _of

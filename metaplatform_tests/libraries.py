"""Others' libraries that the platform's processes import, imported; and MLflow's empty tables, made once a process."""

import gc
import sqlite3
import tempfile
import warnings
from contextlib import closing
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_IMPORTED = (
    "alembic.command",
    "dagster",
    "dagster._cli",
    "dagster_mlflow",
    "deltalake",
    "evidently",
    "evidently.presets",
    "ibis.backends.sql.compilers",
    "jsonschema",
    "mlflow.pyfunc",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandas",
    "plotly.graph_objs",
    "psutil",
    "pyarrow.dataset",
    "rich.markdown",
    "sqlglot.optimizer",
    "typer",
    "xgboost",
    "yaml",
)


def import_all() -> None:
    """Import them; what they are made of is then left alone by the garbage collector, and shared by forks."""
    gc.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _IMPORTED:
            import_module(name)
    gc.freeze()
    gc.enable()


def copy_mlflow_tables() -> None:
    """Let a new SQLite database of MLflow's begin with the tables it made first: its sixty migrations take a second."""
    from mlflow.store.db import utils

    if not hasattr(utils._upgrade_db, "migrated"):
        utils._upgrade_db = _Copied(utils, utils._upgrade_db)


class _Copied:
    """In place of MLflow's own migration, which it is where there is anything to migrate."""

    def __init__(self, utils: Any, migrate: Any) -> None:
        self._utils, self._migrate = utils, migrate
        self.migrated = cache(self._migrated)

    def __call__(self, engine: Any) -> None:
        if engine.dialect.name != "sqlite" or not engine.url.database or self._is_lived_in(engine):
            self._migrate(engine)
            return
        with closing(sqlite3.connect(":memory:")) as made, closing(sqlite3.connect(engine.url.database)) as new:
            made.deserialize(self.migrated())
            made.backup(new)

    def _is_lived_in(self, engine: Any) -> bool:
        with engine.connect() as connection:
            experiments = connection.exec_driver_sql("SELECT count(*) FROM experiments").scalar()
        return bool(experiments) or self._utils._get_schema_version(engine) is not None

    def _migrated(self) -> bytes:
        import sqlalchemy

        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder, "new.db")
            engine = sqlalchemy.create_engine(f"sqlite:///{database}")
            self._utils.InitialBase.metadata.create_all(engine)
            self._migrate(engine)
            engine.dispose()
            with closing(sqlite3.connect(database)) as made:
                return made.serialize()

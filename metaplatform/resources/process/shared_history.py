"""Dagster's history in a PostgreSQL database, as teams have it: looked at before anything is started over it."""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from dagster._core.storage.sql import check_alembic_revision, get_alembic_config
from sqlalchemy.exc import SQLAlchemyError

from metaplatform.errors import MetaplatformError, StorageError
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.resources.process.dagster_home import HISTORY_URL, write_dagster_home
from metaplatform.resources.process.database_urls import POSTGRESQL, database_url, said_without_password, shown_url

_FIX_URL = "write postgresql://user:password@host/database"
_CONNECT_SECONDS = 10
_SERVING = 0x6D657461
"""Number of the lock that a `metaplatform ui` holds in its database."""
_MARK = "metaplatform_history"
"""Table of one row, and file below the Dagster home: the id of the one deployment whose history it is."""


def history_url(text: str) -> sa.URL:
    """Return the URL of the database.

    Raises:
        MetaplatformError: if it is not one of PostgreSQL; it is not repeated.
    """
    url = database_url(text, owner=HISTORY_URL, fix=_FIX_URL)
    if url.drivername != POSTGRESQL:
        raise MetaplatformError(owner=HISTORY_URL, culprit="this is not the URL of a PostgreSQL database", fix=_FIX_URL)
    return url


@contextmanager
def home_in_use(
    folder: Path, *, shared: bool = True, serve: bool = False, environment: Mapping[str, str] = os.environ
) -> Iterator[Path]:
    """Yield ``folder`` as a DAGSTER_HOME, absolute; its history is in the database that the environment names, if any.

    ``serve`` is for the one `metaplatform ui` over it; where it is not ``shared``, the history is below the folder.

    Raises:
        MetaplatformError: if the URL is not one, or the database cannot be used: the extra is not installed, it cannot
            be reached, another version of Dagster made its tables, it has the history of another deployment, or another
            `metaplatform ui` serves it; or ``dagster.yaml`` is not valid or chooses another storage.
    """
    text = environment.get(HISTORY_URL, "") if shared else ""
    if not text:
        yield write_dagster_home(folder)
        return
    with closing(_connected(history_url(text))) as connection:
        _check_version(connection)
        _claim(connection, folder)
        if serve:
            _serve(connection)
        yield write_dagster_home(folder, shared=True)


def _connected(url: sa.URL) -> sa.Connection:
    for module in ("psycopg2", "dagster_postgres"):
        if importlib.util.find_spec(module) is None:
            raise StorageError(
                owner=HISTORY_URL, culprit=f"{module} is not installed", fix="pip install metaplatform[postgres]"
            )
    arguments = {} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_SECONDS}
    try:
        return sa.create_engine(
            url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True, connect_args=arguments
        ).connect()
    except SQLAlchemyError as error:
        raise StorageError(
            owner=shown_url(url),
            culprit=f"the database of {HISTORY_URL} cannot be used: {said_without_password(url, error)}",
            fix="check that it runs, its address, user and password",
        ) from None


def _check_version(connection: sa.Connection) -> None:
    """Check that the tables are those of the installed Dagster, or that there are none yet."""
    stored, installed = check_alembic_revision(get_alembic_config(__file__), connection)
    if stored not in {None, installed}:
        raise StorageError(
            owner=shown_url(connection.engine.url),
            culprit="another version of Dagster made its tables",
            fix="back it up and run `dagster instance migrate` if it was an earlier one, or install that one",
        )


def _claim(connection: sa.Connection, home: Path) -> None:
    """Check that the database's runs are of this deployment, or nobody's: the loop asks nothing that a run answers."""
    file = home / _MARK
    own = file.read_text(encoding="utf-8").strip() if file.exists() else str(uuid4())
    connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {_MARK} (one integer PRIMARY KEY, id text NOT NULL)")
    taken = sa.text(f"INSERT INTO {_MARK} VALUES (1, :own) ON CONFLICT DO NOTHING")  # noqa: S608  # a name of our own
    connection.execute(taken, {"own": own})
    found = connection.exec_driver_sql(f"SELECT id FROM {_MARK}").scalar()  # noqa: S608  # a name of our own
    if found != own:
        raise StorageError(
            owner=shown_url(connection.engine.url),
            culprit="it has the history of another storage root",
            fix=f"use a database for this root alone; if the root was that one's before, write {found} into {file}",
        )
    if not file.exists():
        write_whole(file, own.encode(), folders=True)


def _serve(connection: sa.Connection) -> None:
    """Be the only `metaplatform ui` that serves the database, as long as the connection lasts."""
    if not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_SERVING})").scalar():
        raise StorageError(
            owner=shown_url(connection.engine.url),
            culprit="another `metaplatform ui` serves this history",
            fix="use that one, or stop it: two daemons would ask for each run twice",
        )

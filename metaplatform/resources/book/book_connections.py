"""Connections to the database of a book: the driver chosen, secrets kept out of every message, snapshots consistent."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from metaplatform.errors import MetaplatformError, StorageError
from metaplatform.resources.process.database_urls import POSTGRESQL, database_url, said_without_password, shown_url

_CONNECT_SECONDS = 10
_LOCK_SECONDS = 30
_LOCKED = ("database is locked", "lock timeout")
"""What SQLite and PostgreSQL say where somebody else's transaction holds what is asked for."""
"""A sensor's look may take a minute: a host that does not answer must be told before."""


def book_url(text: str) -> sa.URL:
    """Return the database URL, with the driver that the project installs.

    Raises:
        MetaplatformError: if ``text`` is not a URL; it is not repeated, because it may hold a password.
    """
    fix = "write postgresql://user:password@host/database or sqlite:///file.db"
    return database_url(text, owner="book database", fix=fix)


def book_engine(url: sa.URL) -> sa.Engine:
    """Return an engine whose transactions see one state of the database.

    Raises:
        MetaplatformError: if the database's driver is not installed.
    """
    name = shown_url(url)
    options: dict[str, Any] = {} if url.get_backend_name() == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    if url.drivername == POSTGRESQL and "connect_timeout" not in url.query:
        options["connect_args"] = {"connect_timeout": _CONNECT_SECONDS}
    try:
        engine = sa.create_engine(
            url, poolclass=sa.NullPool, json_deserializer=_lenient_json, hide_parameters=True, **options
        )
    except ModuleNotFoundError as error:
        extra = url.get_backend_name() == "postgresql"
        raise MetaplatformError(
            owner=name,
            culprit=f"the database driver '{error.name}' is not installed",
            fix="pip install metaplatform[postgres]" if extra else f"pip install {error.name}",
        ) from None
    except (NoSuchModuleError, SQLAlchemyError, TypeError, ValueError) as error:
        raise MetaplatformError(
            owner=name,
            culprit=f"no database of this kind is known ({type(error).__name__})",
            fix="write postgresql://user:password@host/database or sqlite:///file.db",
        ) from None
    if engine.dialect.name == "sqlite":
        _begin_ourselves(engine)
    return engine


@contextmanager
def transaction(engine: sa.Engine, *, write: bool = False, tables: Sequence[sa.Table] = ()) -> Iterator[sa.Connection]:
    """Yield a connection in one transaction, which may ``write``; nobody else then writes ``tables``.

    Raises:
        StorageError: if the database refuses; its message holds no password.
    """
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
            if tables and connection.dialect.name == "postgresql":
                # Before the first read, so that the snapshot is taken after the last writer is done.
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
                names = ", ".join(str(table.name) for table in tables)
                connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
            yield connection
            connection.commit()
    except SQLAlchemyError as error:
        raise _storage_error(engine.url, error) from None


def _storage_error(url: sa.URL, error: SQLAlchemyError) -> StorageError:
    message = said_without_password(url, error)
    locked = any(words in message for words in _LOCKED)
    return StorageError(
        owner=shown_url(url),
        culprit=f"the database refused: {message}",
        fix="somebody is editing it: let them commit, and try again"
        if locked
        else "check that it runs, its address, and the rights of this user",
    )


def _begin_ourselves(engine: sa.Engine) -> None:
    """Let each SQLite transaction begin when it is asked to: the driver's own waits for the first change."""

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA busy_timeout = {_LOCK_SECONDS * 1000}")


def _lenient_json(text: str | bytes) -> Any:
    """Return the JSON value, or the text itself: what a person wrote is judged with the rest of the book."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def check_file_exists(url: sa.URL) -> None:
    """Raise ``StorageError`` if ``url`` names an SQLite file that is not there: reading would make an empty one."""
    if url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}:
        path = Path(str(url.database).removeprefix("file:"))
        if not path.exists():
            raise StorageError(owner=shown_url(url), culprit="there is no such file", fix="push a book there first")

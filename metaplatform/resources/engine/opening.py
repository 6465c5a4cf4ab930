"""Which engine there is: sessions of it, each with a folder of its own, closed whatever happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metaplatform.resources.engine.duckdb_connections import memory_connection
from metaplatform.resources.engine.duckdb_session import DuckDBSession
from metaplatform.resources.engine.interruptions import interruptions_pass
from metaplatform.resources.engine.session import Session
from metaplatform.resources.engine.session_folders import temporary_folder
from metaplatform.resources.engine.threads import allotted_threads


@contextmanager
def open_session(root: Path, *, memory_limit: str = "", threads: int = 0) -> Iterator[Session]:
    """Yield a session over the tables below ``root``, with nothing in it.

    Raises:
        StorageError: if its folder cannot be made, or the engine does not take ``memory_limit`` or ``threads``.
    """
    with (
        interruptions_pass(),
        temporary_folder(root) as folder,
        memory_connection(folder, memory_limit=memory_limit, threads=threads) as connection,
    ):
        session = DuckDBSession(connection, root, folder, threads=allotted_threads(threads))
        try:
            yield session
        finally:
            session.close()

"""DuckDB connections: private, in memory, in UTC, closed whatever happens."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
from dagster_duckdb import DuckDBResource
from sqlglot import exp

from metaplatform.errors import StorageError
from metaplatform.resources.engine.threads import allotted_threads
from metaplatform.sql.dialect import literal

# Extensions are loaded from their installed packages alone, and verified there.
_SETTINGS: Mapping[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_unsigned_extensions": True,
}


@contextmanager
def memory_connection(
    temporary: Path, *, memory_limit: str = "", threads: int = 0
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to an in-memory database of its own, which spills to the folder ``temporary``.

    Raises:
        StorageError: if DuckDB does not take ``memory_limit`` or ``threads``.
    """
    settings: dict[str, Any] = {"temp_directory": str(temporary)}
    settings |= {"memory_limit": memory_limit} if memory_limit else {}
    settings["threads"] = allotted_threads(threads)
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(duckdb_connection(":memory:", settings))
        except duckdb.Error as error:
            raise StorageError(
                owner="warehouse", culprit=str(error), fix="write memory_limit as in '4GB', threads as a whole number"
            ) from error
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        yield connection


@contextmanager
def duckdb_connection(database: str, settings: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection that neither downloads nor loads an extension by itself, closed whatever happens."""
    duck = DuckDBResource(database=database, connection_config={**_SETTINGS, **settings})
    with ExitStack() as stack:
        connection = stack.enter_context(duck.get_connection())
        # The resource closes its connection only when nothing was raised.
        stack.callback(connection.close)
        yield connection


def load_delta(connection: duckdb.DuckDBPyConnection) -> None:
    """Load the Delta extension.

    Raises:
        StorageError: if the package does not hold one for this version of DuckDB.
    """
    load_extension(connection, "delta")


def load_extension(connection: duckdb.DuckDBPyConnection, name: str, *, extra: str = "") -> None:
    """Load an extension from its installed package, its signature verified once in each process.

    The verification reads tens of megabytes, which takes longer than all else that opening a session does. ``extra`` is
    what of metaplatform installs it, where that is optional.

    Raises:
        StorageError: if there is no such package, or it does not hold one for this version of DuckDB.
    """
    connection.execute(_load_statement(_verified_extension(name, extra)))


@cache
def _verified_extension(name: str, extra: str) -> Path:
    spec = find_spec(f"duckdb_extension_{name}")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [file for place in places for file in Path(place).glob(f"extensions/*/{name}.duckdb_extension")]
    package = f"duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}"
    try:
        with duckdb_connection(":memory:", {"allow_unsigned_extensions": False}) as connection:
            connection.execute(_load_statement(found[0]))
    except (IndexError, duckdb.Error) as error:
        why = f"there is no package {package}" if isinstance(error, IndexError) else str(error)
        raise StorageError(
            owner="warehouse",
            culprit=f"DuckDB {duckdb.__version__} cannot load its extension {name}: {why}",
            fix=f"pip install 'metaplatform[{extra}]'" if extra else f"install {package}",
        ) from error
    return found[0]


def delta_scan(folder: Path, *options: exp.Expr) -> exp.Table:
    """Return the rows of a Delta table for FROM, of a connection that has loaded the extension."""
    return exp.Table(this=exp.func("delta_scan", exp.Literal.string(folder.as_uri()), *options))


def _load_statement(extension: Path) -> str:
    return f"LOAD {literal(str(extension))}"

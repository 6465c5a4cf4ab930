"""A state is the same object until somebody commits: this process, another one, or whoever puts another file there."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from metaplatform.resources.files.sqlite_changes import state_of


def commit(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


def test_a_commit_of_anybody_is_a_new_state_and_a_look_is_none(tmp_path: Path) -> None:
    database = tmp_path / "some #1.db"
    commit(database, "CREATE TABLE t (x)")
    first = state_of(database)
    assert first is not None
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("SELECT * FROM t").fetchall()
    assert state_of(database) is first
    commit(database, "INSERT INTO t VALUES (1)")
    second = state_of(database)
    assert second not in {None, first}
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('INSERT INTO t VALUES (2)'); c.commit()"
    subprocess.run([sys.executable, "-c", code, str(database)], check=True)
    assert state_of(database) not in {None, second}


def test_each_of_many_commits_within_a_moment_is_seen(tmp_path: Path) -> None:
    database = tmp_path / "some.db"
    commit(database, "CREATE TABLE t (x)")
    seen = [state_of(database)]
    for _ in range(50):
        commit(database, "INSERT INTO t VALUES (1)")
        seen.append(state_of(database))
    assert len({id(state) for state in seen}) == 51


def test_a_file_that_is_put_in_place_of_another_is_a_new_state_and_one_that_is_gone_or_damaged_is_none(
    tmp_path: Path,
) -> None:
    database = tmp_path / "some.db"
    commit(database, "CREATE TABLE t (x)")
    first = state_of(database)
    database.unlink()
    assert state_of(database) is None
    commit(database, "CREATE TABLE t (x)")
    again = state_of(database)
    assert again not in {None, first}
    database.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    assert state_of(database) is not again


def test_few_files_are_held_open(tmp_path: Path) -> None:
    databases = [tmp_path / f"{number}.db" for number in range(20)]
    for database in databases:
        commit(database, "CREATE TABLE t (x)")
    states = [state_of(database) for database in databases]
    assert None not in states
    assert state_of(databases[0]) is not states[0], "it was let go, and what was known of it is asked again"
    assert state_of(databases[-1]) is states[-1]

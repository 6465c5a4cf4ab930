"""Where MLflow's database says that files are: absolute addresses, put right after their root was moved or copied.

MLflow has no relative places: of an experiment, a run, a logged model and a version it keeps the address of its files.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def put_places_right(database: Path, artifact_root: Path, *, experiment: str) -> int:
    """Let every address below a former artifact root lead below ``artifact_root``; return how many were changed.

    Former roots are told by the experiments named ``<experiment>/<model>``, whose files lie in ``<root>/<model>``. One
    that MLflow has placed elsewhere, in the folder where a process was started, is moved to where the others are.
    """
    now = artifact_root.resolve().as_uri()
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        moves = {former: place for former, place in _moves(connection, experiment, now) if former != place}
        return sum(
            connection.execute(
                # Names of tables and columns are those above.
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (place, len(former) + 1, former, len(former) + 1, f"{former}/"),
            ).rowcount
            for former, place in moves.items()
            for table, column in _COLUMNS
        )


def _moves(connection: sqlite3.Connection, experiment: str, now: str) -> Iterator[tuple[str, str]]:
    for name, location in connection.execute("SELECT name, artifact_location FROM experiments"):
        prefix, _, model = name.partition("/")
        if prefix == experiment and model and location:
            inside = location.endswith(f"/{model}")
            yield (location.removesuffix(f"/{model}"), now) if inside else (location, f"{now}/{model}")

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

    Former roots are told by the experiments named ``<experiment>/<model>``, whose files lie in ``<root>/<model>``.
    """
    now = artifact_root.resolve().as_uri()
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        former = {root for root in _roots(connection, experiment) if root != now}
        return sum(
            connection.execute(
                # Names of tables and columns are those above.
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                (now, len(root) + 1, len(root) + 1, f"{root}/"),
            ).rowcount
            for root in former
            for table, column in _COLUMNS
        )


def _roots(connection: sqlite3.Connection, experiment: str) -> Iterator[str]:
    for name, location in connection.execute("SELECT name, artifact_location FROM experiments"):
        prefix, _, model = name.partition("/")
        if prefix == experiment and model and location and location.endswith(f"/{model}"):
            yield location.removesuffix(f"/{model}")

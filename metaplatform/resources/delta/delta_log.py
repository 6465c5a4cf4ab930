"""The files of a Delta table as its log has them, to be said again: a commit may correct what is known of a file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from metaplatform.resources.delta.delta_statistics import Bounds, statistics_json, with_null_columns


@dataclass(frozen=True)
class LoggedFile:
    """A file: its path as the log has it (quoted), its partition's values as text, and what is known of its columns.

    ``rows`` is None where the writer did not count them.
    """

    path: str
    bytes: int
    modified: int
    values: Mapping[str, str]
    rows: int | None
    nulls: Mapping[str, int]
    bounds: Bounds

    def action(self, statistics: str) -> AddAction:
        """Return the action that says the file again, with these statistics."""
        return AddAction(self.path, self.bytes, dict(self.values), self.modified, False, statistics)

    def with_null_columns(self, names: Iterable[str]) -> AddAction:
        """Return the action that says of a file made before these columns that they are null in all of its rows."""
        statistics = statistics_json(self.rows or 0, self.nulls, self.bounds)
        return self.action(with_null_columns(statistics, names))


def logged_files(table: DeltaTable) -> Iterator[LoggedFile]:
    """Return the files of the table's newest version."""
    actions = pa.table(table.get_add_actions(flatten=True))
    partition_by = table.metadata().partition_columns
    columns = [field.name for field in table.schema().fields if field.name not in partition_by]
    known = {
        part: {name: actions[f"{part}.{name}"] for name in columns if f"{part}.{name}" in actions.column_names}
        for part in ("null_count", "min", "max")
    }
    plain = ["path", "size_bytes", "modification_time", "num_records"]
    rows = actions.select([*plain, *(f"partition.{name}" for name in partition_by)]).to_pylist()
    for index, file in enumerate(rows):
        nulls = {name: counts[index].as_py() for name, counts in known["null_count"].items()}
        ends = {name: (known["min"][name][index], known["max"][name][index]) for name in known["min"]}
        yield LoggedFile(
            file["path"],
            file["size_bytes"],
            file["modification_time"],
            {name: str(file[f"partition.{name}"]) for name in partition_by},
            file["num_records"],
            {name: count for name, count in nulls.items() if count is not None},
            {name: (low, high) for name, (low, high) in ends.items() if low.is_valid and high.is_valid},
        )


def half_bounded(file: LoggedFile, columns: Iterable[str]) -> bool:
    """Tell whether a reader may skip the file by mistake: it has bounds for some of its columns with values only."""
    valued = {name for name in columns if file.nulls.get(name) is None or file.nulls[name] != file.rows}
    return bool(file.bounds) and not valued <= file.bounds.keys()


def without_columns(files: Iterable[LoggedFile], names: Iterable[str]) -> list[AddAction]:
    """Return the actions that say of each file with bounds that it has nothing in the columns ``names``."""
    added = tuple(names)
    return [file.with_null_columns(added) for file in files if file.bounds and file.rows is not None] if added else []

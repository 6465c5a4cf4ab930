"""What keeps a table quick to read: statistics set right, small files joined, files of old versions removed."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from metaplatform.resources.delta.delta_commits import commit_properties, committed
from metaplatform.resources.delta.delta_log import half_bounded, logged_files
from metaplatform.resources.delta.delta_partitions import table_files
from metaplatform.resources.delta.delta_rewriting import is_of_earlier_layout, plan_joining, rewritten, take_over
from metaplatform.resources.delta.delta_statistics import FileStatistics
from metaplatform.resources.delta.delta_tables import arrow_schema, open_table

_METADATA = {"metaplatform": "maintenance"}
_BATCH_ROWS = 122_880
_SMALL_FILES = 8


@dataclass(frozen=True)
class Maintained:
    """What was done to a table: files whose statistics were set right, files joined, and files removed."""

    repaired: int = 0
    joined: int = 0
    removed: int = 0

    def __str__(self) -> str:
        """Return it for people; empty if nothing was done."""
        done = (
            ("statistics of {} files set right", self.repaired),
            ("{} small files joined", self.joined),
            ("{} old files removed", self.removed),
        )
        return ", ".join(text.format(count) for text, count in done if count)


def maintain_table(ref: str, folder: Path, *, retention_hours: int) -> Maintained:
    """Set statistics right, join small files, remove those that no version of the last ``retention_hours`` refers to.

    Readers and writers go on meanwhile: the retention must be longer than any of them takes.

    Raises:
        StorageError: if a commit cannot be made.
    """
    repaired, joined = _set_statistics_right(ref, folder), _join_small_files(ref, folder)

    def commit() -> int:
        table = open_table(folder)
        if table is None:
            return 0
        # Not by the log alone: what a killed write left behind is in none, and goes once it is as old.
        vacuum = partial(table.vacuum, retention_hours, enforce_retention_duration=False, full=True)
        # The log names earlier files for as long as it is kept, whether they are there or not.
        there = sum((folder / unquote(path)).exists() for path in vacuum(dry_run=True))
        if there:
            vacuum(dry_run=False, commit_properties=commit_properties(_METADATA))
        return there

    return Maintained(repaired, joined, committed(folder, commit, owner=ref))


def _set_statistics_right(ref: str, folder: Path) -> int:
    """Look at the rows of files that a reader may skip by mistake, and log what they hold; return how many.

    Other writers make such files, and so did this platform when its files had bounds of numbers and times only.
    """
    table = open_table(folder)
    if table is None:
        return 0
    columns = [field.name for field in table.schema().fields if field.name not in table.metadata().partition_columns]
    at_fault = [file for file in logged_files(table) if half_bounded(file, columns)]
    right = {file.path: file.action(_statistics(folder / unquote(file.path), columns)) for file in at_fault}

    def commit() -> int:
        now = open_table(folder)
        actions = [right[file.path] for file in logged_files(now) if file.path in right] if now else []
        if now is not None and actions:
            now.create_write_transaction(
                list(actions),
                "append",
                now.schema(),
                now.metadata().partition_columns,
                commit_properties=commit_properties(_METADATA),
            )
        return len(actions)

    return committed(folder, commit, owner=ref) if right else 0


def _join_small_files(ref: str, folder: Path) -> int:
    """Join files of few rows, those of a table of an earlier layout too; return how many there were.

    What another writer takes away meanwhile is not joined: the next night does it.
    """
    table = open_table(folder)
    if table is None:
        return 0
    plan = plan_joining(table, folder, at_least=_SMALL_FILES)
    with ExitStack() as stack:
        joined = rewritten(table, folder, plan, frozenset(), stack)

        def commit() -> int:
            now = open_table(folder)
            if now is not None and is_of_earlier_layout(now):
                before = len(now.file_uris())
                take_over(folder, now, commit_properties(_METADATA))
                return before
            if now is None or not plan.paths or not plan.paths <= {file.path for file in table_files(now)}:
                return 0
            now.create_write_transaction(
                list(joined.actions(arrow_schema(now), joined.written_at)),
                "append",
                now.schema(),
                now.metadata().partition_columns,
                commit_properties=commit_properties(_METADATA),
            )
            joined.keep()
            return len(plan.paths)

        return committed(folder, commit, owner=ref)


def _statistics(path: Path, columns: list[str]) -> str:
    """Return the statistics of a file; of the table's columns that it lacks, that they are null."""
    with pq.ParquetFile(path) as file:
        statistics = FileStatistics(file.schema_arrow)
        for batch in file.iter_batches(_BATCH_ROWS):
            statistics.add(pa.Table.from_batches([batch]))
    if statistics.nulls:
        statistics.nulls |= {name: statistics.rows for name in columns if name not in file.schema_arrow.names}
    return statistics.to_json()

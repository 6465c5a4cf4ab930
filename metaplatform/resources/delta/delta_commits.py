"""Commits to Delta tables: whole or not at all, one at a time for each table, whoever else is writing.

The rows are in files already (:mod:`metaplatform.resources.delta.delta_files`), so that a commit takes
milliseconds, holds its lock no longer than that, and can be tried again when it meets another.
"""

import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, TableFeatures
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from metaplatform.errors import StorageError
from metaplatform.resources.delta.delta_files import StagedFiles
from metaplatform.resources.delta.delta_log import logged_files, without_columns
from metaplatform.resources.delta.delta_rewriting import (
    Replacement,
    Rewritten,
    is_of_earlier_layout,
    plan_replacement,
    rewritten,
    take_over,
)
from metaplatform.resources.delta.delta_tables import (
    LOCK,
    arrow_schema,
    latest_table,
    newest_commit,
    open_table,
    read_rows,
)
from metaplatform.resources.delta.delta_types import evolved_schema

_ATTEMPTS = 8
_FIRST_WAIT_SECONDS = 0.05
_SMALL_FILES = 40

T = TypeVar("T")


@contextmanager
def commit_lock(folder: Path) -> Iterator[None]:
    """Let one process at a time commit to the table in ``folder``; the kernel frees the lock of a killed one.

    The number of the newest commit is kept in the lock's file: a log that has lost its end does not show it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        if newest := newest_commit(folder):
            # Always of one length: no reader sees half of it.
            os.pwrite(handle, newest.stem.encode("ascii"), 0)
    finally:
        os.close(handle)


def committed(folder: Path, commit: Callable[[], T], *, owner: str) -> T:
    """Return what ``commit`` returns, run under the lock and again when another writer came first.

    The lock keeps our own processes apart; engines that know nothing of it (Spark) may still come between.

    Raises:
        StorageError: if the commit cannot be made.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with commit_lock(folder):
                return commit()
        except CommitFailedError as error:
            conflict = error
            time.sleep(_FIRST_WAIT_SECONDS * 2**attempt)
        except (DeltaError, OSError) as error:
            raise StorageError(
                owner=owner, culprit=f"the commit failed: {error}", fix="check the storage root's space and rights"
            ) from error
    raise StorageError(
        owner=owner,
        culprit=f"{_ATTEMPTS} commits in a row met another writer: {conflict}",
        fix="run again when the other writer of this table is done",
    )


def schema_after(
    table: DeltaTable | None, folder: Path, new: pa.Schema, replaced: Replacement, *, owner: str
) -> pa.Schema:
    """Return the table's columns once the rows that ``replaced`` names have been replaced by rows of ``new``.

    All of several partitions change no type either: readers would not be asked, as they are by one after the other.

    Raises:
        DataError: if rows of other partitions stay, and have another type in some column.
    """
    alone = replaced.whole or len(replaced.partitions) == 1
    if table is None or (replaced.takes_all(table, folder) and (alone or not table.file_uris())):
        return new
    stored = [field for field in arrow_schema(table) if field.name not in replaced.values]
    return evolved_schema(pa.schema(stored), new, owner=owner)


def commit_replacement(
    ref: str, folder: Path, staged: StagedFiles, replaced: Replacement, *, metadata: Mapping[str, str]
) -> int:
    """Replace the rows that ``replaced`` names by staged files; return the version.

    What shares a file with them is written again before the lock is taken, and once more under it if another
    writer has come between.

    Raises:
        DataError: if the columns do not go with those of the other partitions.
        StorageError: if the commit cannot be made.
    """
    with ExitStack() as stack:
        ahead = _written_ahead(folder, replaced, stack)

        def commit() -> int:
            table = open_table(folder)
            schema = schema_after(table, folder, staged.schema, replaced, owner=ref)
            if table is None or replaced.takes_all(table, folder):
                create_table_with_add_actions(
                    folder.as_uri(),
                    Schema.from_arrow(_with_fixed_columns(schema, replaced.values)),
                    staged.actions_in(schema),
                    mode="overwrite" if table else "error",
                    partition_by=list(replaced.values),
                    commit_properties=commit_properties(metadata),
                )
            else:
                if is_of_earlier_layout(table):
                    table = take_over(folder, table, commit_properties(metadata))
                plan = plan_replacement(table, folder, replaced)
                again = ahead
                if again is None or again.plan != plan:
                    again = rewritten(table, folder, plan, replaced.partitions, stack)
                _commit_rewritten(table, staged, again, schema=schema, metadata=metadata)
                again.keep()
            staged.keep()
            newest = newest_commit(folder)
            return int(newest.stem) if newest else 0

        return committed(folder, commit, owner=ref)


def _written_ahead(folder: Path, replaced: Replacement, stack: ExitStack) -> Rewritten | None:
    table = latest_table(folder)
    if table is None or replaced.takes_all(table, folder) or is_of_earlier_layout(table):
        return None
    return rewritten(table, folder, plan_replacement(table, folder, replaced), replaced.partitions, stack)


def _commit_rewritten(
    table: DeltaTable,
    staged: StagedFiles,
    again: Rewritten,
    *,
    schema: pa.Schema,
    metadata: Mapping[str, str],
) -> None:
    fixed = table.metadata().partition_columns
    older = _older_files(table, schema, leaving=again.plan.paths)
    _grow(table, schema)
    actions = [*staged.actions_in(schema), *again.actions(schema, staged.written_at), *older]
    table.create_write_transaction(
        actions, "append", table.schema(), fixed, commit_properties=commit_properties(metadata)
    )


def commit_properties(metadata: Mapping[str, str]) -> CommitProperties:
    """Return the properties that put ``metadata`` into a commit's entry of the table's history."""
    return CommitProperties(custom_metadata=dict(metadata))


def clear_table(ref: str, folder: Path, *, metadata: Mapping[str, str]) -> None:
    """Take all rows of a table away, if there is one, in one commit.

    Raises:
        StorageError: if the commit cannot be made.
    """

    def commit() -> None:
        table = open_table(folder)
        if table is not None:
            create_table_with_add_actions(
                folder.as_uri(),
                table.schema(),
                [],
                mode="overwrite",
                partition_by=table.metadata().partition_columns,
                commit_properties=commit_properties(metadata),
            )

    committed(folder, commit, owner=ref)


def insert_new(ref: str, folder: Path, rows: pa.Table, *, key: str, metadata: Mapping[str, str]) -> int:
    """Append the rows whose ``key`` the table lacks, making the table if necessary; return how many.

    A MERGE says the same, but plans a join for each handful of rows; under the lock a look at the keys will do.

    Raises:
        DataError: if a column has another type in the table.
        StorageError: if the commit cannot be made.
    """

    def commit() -> int:
        table = open_table(folder)
        if table is None:
            table = DeltaTable.create(folder.as_uri(), Schema.from_arrow(rows.schema))
        stored = read_rows(table, folder, schema=pa.schema([rows.schema.field(key)]))
        schema = evolved_schema(arrow_schema(table), rows.schema, owner=ref)
        new = rows.filter(pc.invert(pc.is_in(rows[key], value_set=stored[key].combine_chunks())))
        if new.num_rows:
            _append(table, folder, new, schema, metadata)
        return new.num_rows

    return committed(folder, commit, owner=ref)


def _append(table: DeltaTable, folder: Path, rows: pa.Table, schema: pa.Schema, metadata: Mapping[str, str]) -> None:
    """Append rows; where the table has many files already, write all of its rows again, into one."""
    properties = commit_properties(metadata)
    if len(table.file_uris()) >= _SMALL_FILES:
        stored = read_rows(table, folder, schema=schema)
        _overwrite(folder, pa.concat_tables([stored, rows], promote_options="default"), properties)
        return
    with StagedFiles(folder, rows.schema, {}) as staged:
        staged.write(rows.to_batches())
        older = _older_files(table, schema)
        _grow(table, schema)
        actions: list[AddAction | RemoveAction] = [*staged.actions_in(schema), *older]
        table.create_write_transaction(actions, "append", schema, [], commit_properties=properties)
        staged.keep()


def _overwrite(folder: Path, rows: pa.Table, properties: CommitProperties) -> None:
    with StagedFiles(folder, rows.schema, {}) as staged:
        staged.write(rows.to_batches())
        create_table_with_add_actions(
            folder.as_uri(),
            Schema.from_arrow(rows.schema),
            staged.actions,
            mode="overwrite",
            partition_by=[],
            commit_properties=properties,
        )
        staged.keep()


def _older_files(table: DeltaTable, schema: pa.Schema, *, leaving: Collection[str] = ()) -> list[AddAction]:
    """Return what is to be said again of the files that stay, where ``schema`` has columns that they lack."""
    added = _added(table, schema)
    return without_columns((file for file in logged_files(table) if file.path not in leaving), added) if added else []


def _grow(table: DeltaTable, schema: pa.Schema) -> None:
    """Give the table the columns of ``schema`` that it lacks, and what they need: appending does not."""
    features = table.protocol().reader_features or []
    if any(_has_local_timestamp(field.type) for field in schema) and "timestampNtz" not in features:
        table.alter.add_feature(TableFeatures.TimestampWithoutTimezone, allow_protocol_versions_increase=True)
        table.update_incremental()
    if added := _added(table, schema):
        table.alter.add_columns(list(Schema.from_arrow(pa.schema([schema.field(name) for name in added])).fields))


def _added(table: DeltaTable, schema: pa.Schema) -> list[str]:
    known = set(arrow_schema(table).names)
    return [name for name in schema.names if name not in known]


def _with_fixed_columns(schema: pa.Schema, values: Mapping[str, str | int]) -> pa.Schema:
    kinds = {name: pa.int64() if isinstance(value, int) else pa.string() for name, value in values.items()}
    return pa.schema([*schema, *(pa.field(name, kind) for name, kind in kinds.items())])


def _has_local_timestamp(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_local_timestamp(kind.field(index).type) for index in range(kind.num_fields))
    return bool(pa.types.is_timestamp(kind) and kind.tz is None)

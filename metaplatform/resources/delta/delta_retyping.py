"""Columns of a Delta table cast to other types, all rows in one commit: for histories, whose rows outlive a type."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.transaction import create_table_with_add_actions

from metaplatform.resources.delta.delta_commits import commit_properties, committed
from metaplatform.resources.delta.delta_files import StagedFiles
from metaplatform.resources.delta.delta_partitions import table_files
from metaplatform.resources.delta.delta_tables import arrow_schema, open_table

Types = Mapping[str, pa.DataType]
"""Column → its type."""
Cast = Callable[[Path, pa.Schema], Iterator[pa.RecordBatch]]
"""Reads a Parquet file in another schema; a value that has no like in its new type is null."""


def retyped_columns(table: DeltaTable, types: Types) -> dict[str, pa.DataType]:
    """Return those of ``types`` that the table's column of this name does not have; partition columns left out."""
    fixed = table.metadata().partition_columns
    return {
        field.name: types[field.name]
        for field in arrow_schema(table)
        if field.name in types and field.name not in fixed and not field.type.equals(types[field.name])
    }


def retype_table(ref: str, folder: Path, types: Types, *, metadata: Mapping[str, str], cast: Cast) -> None:
    """Cast the table's columns to ``types`` with ``cast``; a value that has no like in the new type becomes null.

    Nobody writes meanwhile, readers see the old rows until the commit, and older versions remain.

    Raises:
        StorageError: if the commit cannot be made.
    """

    def commit() -> None:
        table = open_table(folder)
        changed = retyped_columns(table, types) if table else {}
        if table is None or not changed:
            return
        schema = pa.schema([field.with_type(changed.get(field.name, field.type)) for field in arrow_schema(table)])
        partition_by = table.metadata().partition_columns
        stored = pa.schema([field for field in schema if field.name not in partition_by])
        with ExitStack() as open_files:
            staged = []
            for file in table_files(table):
                staged.append(open_files.enter_context(StagedFiles(folder, stored, dict(file.values))))
                staged[-1].write(cast(folder / unquote(file.path), stored), file.parts(folder))
            create_table_with_add_actions(
                folder.as_uri(),
                Schema.from_arrow(schema),
                [action for files in staged for action in files.actions_in(stored)],
                mode="overwrite",
                partition_by=partition_by,
                commit_properties=commit_properties(metadata),
            )
            for files in staged:
                files.keep()

    committed(folder, commit, owner=ref)

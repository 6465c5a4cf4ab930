"""What the logs of tables tell: which there are, with which partitions, rows and columns; no row is read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from metaplatform.errors import DataError, StorageError
from metaplatform.resources.delta.delta_commits import insert_new
from metaplatform.resources.delta.delta_partitions import PartitionState
from metaplatform.resources.delta.delta_tables import (
    arrow_schema,
    latest_maximum,
    latest_partitions,
    latest_table,
    table_folder,
)
from metaplatform.resources.delta.delta_types import storable_batches, storable_schema


class TableLogs(ABC):
    """The logs of tables by reference (``raw.flights``), and what the loop adds to its own small tables."""

    @property
    @abstractmethod
    def root_path(self) -> Path:
        """Return the storage root as an absolute path."""

    def path(self, ref: str) -> Path:
        """Return the folder of table ``ref``, whether it exists or not."""
        return table_folder(self.root_path, ref)

    def exists(self, ref: str) -> bool:
        """Tell whether table ``ref`` has ever been written."""
        return self._open(ref) is not None

    def version(self, ref: str) -> int | None:
        """Return the number of the table's latest commit, None if there is no table."""
        table = self._open(ref)
        return table.version() if table else None

    def partitions(self, ref: str) -> Mapping[str, PartitionState]:
        """Return the state of each partition by key (``""`` where there are none), from the log, no data read."""
        return latest_partitions(self.path(ref))

    def row_count(self, ref: str) -> int | None:
        """Return the table's rows, from the log; None if there is no table."""
        return sum(state.rows for state in self.partitions(ref).values()) if self.exists(ref) else None

    def newest(self, ref: str, column: str) -> datetime | None:
        """Return the greatest instant of a column, from the log, no data read; None if there are no rows."""
        return latest_maximum(self.path(ref), column)

    def schema(self, ref: str) -> pa.Schema:
        """Return the table's columns, ``_partition`` included.

        Raises:
            StorageError: if there is no table.
        """
        table = self._open(ref)
        if table is None:
            raise StorageError(owner=ref, culprit="the table does not exist yet", fix=f"materialize {ref} first")
        return arrow_schema(table)

    def append_new(self, ref: str, table: pa.Table, *, key: str, metadata: Mapping[str, str]) -> int:
        """Insert the rows whose ``key`` the table lacks; return how many. Again, it inserts none.

        Raises:
            DataError: if a column has another type in the table, or ``table`` repeats a key.
        """
        schema = storable_schema(table.schema, owner=ref)
        rows = pa.Table.from_batches(storable_batches(table.to_batches(), schema, owner=ref), schema=schema)
        if len(rows[key].unique()) != rows.num_rows or rows[key].null_count:
            raise DataError(owner=ref, culprit=f"'{key}' repeats or is null", fix="append each key once")
        return insert_new(ref, self.path(ref), rows, key=key, metadata=metadata)

    def _open(self, ref: str) -> DeltaTable | None:
        return latest_table(self.path(ref))


class RootLogs(TableLogs):
    """The logs below a storage root, and no way from there to a row.

    What a tick of the loop is given: whatever reads data is a run.
    """

    def __init__(self, root_path: Path) -> None:
        self._root_path = root_path

    @property
    def root_path(self) -> Path:
        """Return the storage root."""
        return self._root_path

"""Delta tables below one storage root: where they lie and what their log says of them."""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pydantic import TypeAdapter, ValidationError

from metaplatform import places
from metaplatform.errors import StorageError
from metaplatform.naming import asset_path, history_ref, ref_of
from metaplatform.resources.delta.delta_partitions import PartitionState, bounds_in, partition_states
from metaplatform.specs.fields.base import Ref

LOCK = "_commit.lock"
"""In a table's folder: held by who commits, and the number of the last commit that was made so."""
_LOG_ENTRY = re.compile(r"\d{20}\.json")
_LOGS_KEPT = 256
_REF = TypeAdapter(Ref)
_PARTITION_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,127}")


def storage_root(root: str) -> Path:
    """Return the absolute path of the storage root.

    Raises:
        StorageError: if it is empty, or has a ``%``, which Delta's readers and writers understand differently.
    """
    if not root.strip() or "%" in root or "\x00" in root:
        raise StorageError(
            owner="warehouse", culprit=f"storage root '{root}'", fix="give a folder whose path has no % character"
        )
    return Path(root).expanduser().absolute()


def table_folder(root: Path, ref: str) -> Path:
    """Return the folder of table ``ref``: ``raw.flights`` → ``<root>/warehouse/raw/flights``.

    Raises:
        StorageError: if ``ref`` is not a reference; so no reference leads out of the root.
    """
    try:
        _REF.validate_python(ref)
    except ValidationError as error:
        raise StorageError(
            owner="warehouse", culprit=f"'{ref}' names no table", fix="write a reference such as raw.flights"
        ) from error
    return root.joinpath(places.WAREHOUSE, *asset_path(ref))


def check_partition_key(ref: str, key: str | int) -> None:
    """Refuse a partition value that a path or a filter could misread.

    Raises:
        StorageError: unless it is letters, digits and ``_.:+-``, led by a letter or digit.
    """
    if not _PARTITION_KEY.fullmatch(str(key)):
        raise StorageError(
            owner=ref,
            culprit=f"'{key}' is not a partition key",
            fix="use letters, digits and the characters _ . : + -, led by a letter or digit (128 at most)",
        )


LogStamp = tuple[str, int, int, int]
"""What tells one state of a table's log from any other: its newest entry's name, inode, size and time."""


def open_table(folder: Path) -> DeltaTable | None:
    """Return the Delta table in ``folder`` as it is now, for a commit; None if there is none.

    Raises:
        StorageError: if its log cannot be read, or has lost its end.
    """
    uri = folder.as_uri()
    check_newest_commit(folder)
    try:
        return DeltaTable(uri) if DeltaTable.is_deltatable(uri) else None
    except (DeltaError, OSError) as error:
        raise StorageError(
            owner=f"{folder.parent.name}.{folder.name}",
            # The rest is a backtrace of the library.
            culprit=f"the log of its table cannot be read: {str(error).splitlines()[0].rstrip('.')}",
            fix=f"restore {folder} from a backup; a table of the book can also be removed, and is then made again",
        ) from error


def latest_table(folder: Path) -> DeltaTable | None:
    """Return the Delta table in ``folder`` as it is now, to look at only; None if there is none.

    Its log is read again only when it has changed: sensors look at the same tables all the time.
    """
    stamp = _log_stamp(folder)
    return _newest_tables.of(folder, stamp, _opened) if stamp else open_table(folder)


def latest_partitions(folder: Path) -> Mapping[str, PartitionState]:
    """Return the state of each partition by key (``""`` for a table without), from the log, no data read."""
    stamp = _log_stamp(folder)
    if stamp:
        found: Mapping[str, PartitionState] = _newest_states.of(folder, stamp, _partitions_at)
        return found
    table = open_table(folder)
    return partition_states(table, folder) if table else {}


def latest_maximum(folder: Path, column: str) -> datetime | None:
    """Return the greatest instant of a column, as the log's statistics have it; None for a table without rows."""
    stamp = _log_stamp(folder)
    return _maximum_at(folder, stamp, column) if stamp else None


@lru_cache(maxsize=_LOGS_KEPT)
def _maximum_at(folder: Path, stamp: LogStamp, column: str) -> datetime | None:
    table = _newest_tables.of(folder, stamp, _opened)
    if table is None or column not in {field.name for field in table.schema().fields}:
        return None
    actions = pa.table(table.get_add_actions(flatten=True))
    wanted = [name for name in ("path", "num_records", f"max.{column}") if name in actions.column_names]
    ends = []
    for file in actions.select(wanted).to_pylist():
        greatest = file.get(f"max.{column}")
        known = greatest is not None or file["num_records"] == 0
        ends.append(greatest if known else bounds_in(folder / unquote(file["path"]), column)[1])
    found = [end if end.tzinfo else end.replace(tzinfo=UTC) for end in ends if isinstance(end, datetime)]
    return max(found, default=None)


def _log_stamp(folder: Path) -> LogStamp | None:
    newest = check_newest_commit(folder)
    try:
        found = newest.stat() if newest else None
    except OSError:
        return None
    return (newest.name, found.st_ino, found.st_size, found.st_mtime_ns) if newest and found else None


def newest_commit(folder: Path) -> Path | None:
    """Return the newest entry of the log of the table in ``folder``, None if there is none."""
    try:
        with os.scandir(folder / "_delta_log") as entries:
            newest = max((entry.name for entry in entries if _LOG_ENTRY.fullmatch(entry.name)), default=None)
    except OSError:
        return None
    return folder / "_delta_log" / newest if newest else None


def check_newest_commit(folder: Path) -> Path | None:
    """Return the newest entry of a table's log, having seen that no later one is missing.

    A log without its end is whole for every reader: the table would go back in time, and nobody would know.

    Raises:
        StorageError: if the platform itself has made a later one.
    """
    # Before the log is looked at: else a commit that comes between would seem to be missing.
    last = _last_made(folder)
    newest = newest_commit(folder)
    if not last or (newest is not None and newest.stem >= last):
        return newest
    ref = ref_of((folder.parent.name, folder.name))
    kept = folder.parent.name == "monitoring" or ref.endswith(history_ref(""))
    left = f"which ends with commit {int(newest.stem)}" if newest else "which is empty"
    raise StorageError(
        owner=ref,
        culprit=f"commit {int(last)} is gone from its log, {left}: rows would be missing",
        fix=f"restore {folder / '_delta_log'} from a backup, or remove "
        + (f"{folder / LOCK}: what the commit held is then lost" if kept else f"{folder}, and make the table again"),
    )


def _last_made(folder: Path) -> str:
    """Return the number of the last commit that the platform has made, ``""`` if that is not known."""
    try:
        return (folder / LOCK).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


class _Newest:
    """What was found of each table's log as it is now, of ``most`` tables: an older state is not asked for again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[Path, tuple[LogStamp, Any]] = {}

    def of(self, folder: Path, stamp: LogStamp, ask: Any) -> Any:
        known = self._known.pop(folder, None)
        if known is None or known[0] != stamp:
            known = (stamp, ask(folder, stamp))
        self._known[folder] = known
        while len(self._known) > self._most:
            self._known.pop(next(iter(self._known), folder), None)
        return known[1]


# Of a table itself much is held, of its partitions little; sensors ask for those of all tables.
_newest_tables, _newest_states = _Newest(256), _Newest(65_536)


def _opened(folder: Path, _stamp: LogStamp) -> DeltaTable | None:
    return open_table(folder)


def _partitions_at(folder: Path, stamp: LogStamp) -> Mapping[str, PartitionState]:
    table = _newest_tables.of(folder, stamp, _opened)
    return MappingProxyType(partition_states(table, folder)) if table else {}


def arrow_schema(table: DeltaTable) -> pa.Schema:
    """Return the table's columns, partition columns included."""
    return pa.schema(table.schema().to_arrow())  # type: ignore[arg-type]


def read_rows(
    table: DeltaTable, folder: Path, *, schema: pa.Schema, condition: pc.Expression | None = None
) -> pa.Table:
    """Return the columns ``schema`` of a small unpartitioned table's rows, without a DuckDB session.

    A column that a file lacks is null in its rows; ``condition`` keeps some rows only.
    """
    # It imports pandas, which loading definitions must not.
    import pyarrow.dataset as pads

    paths = [str(folder / unquote(path.as_py())) for path in pa.table(table.get_add_actions())["path"]]
    # With these types: delta-rs may have text as views, which comparisons do not know.
    dataset: Any = pads.dataset(paths, schema=schema, format="parquet")
    rows: pa.Table = dataset.to_table(filter=condition)
    return rows

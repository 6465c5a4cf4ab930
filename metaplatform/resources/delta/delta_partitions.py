"""What partitions a table holds: which keys its files have rows of, how many, and of what content.

A file holds the rows of one partition or of several. Of one, the log's bounds of ``_partition`` name the key; of
several, the file's own footer has each key with its rows. Files never change, so a footer is read once. Tables of
earlier releases are Delta-partitioned by ``_partition``: there the log names the key of each file.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from metaplatform.naming import PARTITION, stable_id

VERSION_COLUMN = "model_version"
"""Column by which :class:`PartitionState` tells who scored a partition."""
ONE_PARTITION, PARTITIONS = "part-", "parts-"
"""How the names of files begin that were made of one partition, and of those whose footer has to be asked."""
_FOOTER_KEY = "metaplatform.partitions"
_NO_CONTENT = f"{0:016x}"
_FILES_KEPT = 4_096


@dataclass(frozen=True)
class PartitionState:
    """One partition of a table, as its log has it.

    ``bytes`` are of its files on disk, of a file that holds others too its share by rows; the model versions are
    those of the column ``model_version``, None where there is none. ``content`` changes whenever the partition is
    written, and stays when files are only cut otherwise.
    """

    rows: int
    files: int
    bytes: int
    min_model_version: int | None = None
    max_model_version: int | None = None
    content: str = ""

    @property
    def model_version(self) -> int | None:
        """Return the newest model version in the partition; after a replacement, the only one."""
        return self.max_model_version

    def joined(self, other: "PartitionState") -> "PartitionState":
        """Return the state of both together."""
        return PartitionState(
            rows=self.rows + other.rows,
            files=self.files + other.files,
            bytes=self.bytes + other.bytes,
            min_model_version=_least(self.min_model_version, other.min_model_version),
            max_model_version=_greatest(self.max_model_version, other.max_model_version),
            content=joined_content(self.content, other.content),
        )


class Part(NamedTuple):
    """The rows of one partition in one file: how many, the token of their content, and their model versions."""

    rows: int
    content: str
    lowest: int | None = None
    highest: int | None = None


class TableFile(NamedTuple):
    """A file of a table: its path as the log has it (quoted), its Delta partition, and what the log says of its rows.

    ``key`` is that of its only partition (``""`` in a table without), None where the footer has to be asked.
    """

    path: str
    bytes: int
    rows: int | None
    values: tuple[tuple[str, str], ...]
    key: str | None
    versions: tuple[int | None, int | None]
    versioned: bool

    @property
    def fixed(self) -> tuple[tuple[str, str], ...]:
        """Return its Delta partition without ``_partition``, which earlier releases had there."""
        return tuple((name, value) for name, value in self.values if name != PARTITION)

    def parts(self, folder: Path) -> Mapping[str, Part]:
        """Return what the file holds of each partition."""
        path, content = folder / unquote(self.path), stable_id(self.path)
        if self.key is None:
            return _parts_in(path, content)
        # Other writers may leave the count out of the log; the file itself has it.
        rows = pq.read_metadata(path).num_rows if self.rows is None else self.rows
        lowest, highest = self.versions
        if self.versioned and rows and highest is None:
            lowest, highest = map(_version, bounds_in(path, VERSION_COLUMN))
        return {self.key: Part(rows, content, lowest, highest)}


class WrittenParts:
    """What a file is to tell of its partitions, gathered as it is written.

    ``kept`` has the tokens of contents that are only written again, taken out as they are used.
    """

    def __init__(self, schema: pa.Schema, kept: dict[str, str] | None) -> None:
        self._kept = kept
        self._parts: dict[str, tuple[int, str | None, int | None, int | None]] = {}
        self._versioned = VERSION_COLUMN in schema.names and pa.types.is_integer(schema.field(VERSION_COLUMN).type)

    @property
    def last(self) -> str | None:
        """Return the partition that came last."""
        return next(reversed(self._parts), None)

    def add(self, table: pa.Table) -> None:
        """Take the rows of ``table`` in."""
        ends: list[Any] = [(VERSION_COLUMN, "min"), (VERSION_COLUMN, "max")] if self._versioned else []
        found = table.group_by(PARTITION, use_threads=False).aggregate([([], "count_all"), *ends]).to_pydict()
        nothing = [None] * len(found[PARTITION])
        lows, highs = (found.get(f"{VERSION_COLUMN}_{end}", nothing) for end in ("min", "max"))
        for key, rows, low, high in zip(found[PARTITION], found["count_all"], lows, highs, strict=True):
            before, content, lowest, highest = self._parts.get(key) or (0, self._content(key), None, None)
            self._parts[key] = (before + rows, content, _least(lowest, low), _greatest(highest, high))

    def add_empty(self, keys: Iterable[str]) -> None:
        """Note partitions that were made, and have no rows."""
        for key in keys:
            self._parts[key] = (0, self._content(key), None, None)

    def counts(self) -> dict[str, int]:
        """Return the rows of each partition in the file."""
        return {key: part[0] for key, part in self._parts.items()}

    def footer(self) -> dict[str, str]:
        """Return what the file's footer is to have."""
        return {_FOOTER_KEY: json.dumps(self._parts, separators=(",", ":"))}

    def _content(self, key: str) -> str | None:
        """Return the token to note: None for that of the file; of what lies in several files, only one has it."""
        return None if self._kept is None else self._kept.pop(key, _NO_CONTENT)


def table_files(table: DeltaTable) -> list[TableFile]:
    """Return the files of the table's newest version, by the log alone."""
    actions = pa.table(table.get_add_actions(flatten=True))
    fixed = table.metadata().partition_columns
    columns = {field.name for field in table.schema().fields}
    ends = [f"{end}.{name}" for name in (PARTITION, VERSION_COLUMN) for end in ("min", "max")]
    wanted = ["path", "size_bytes", "num_records", *(f"partition.{name}" for name in fixed), *ends]
    rows = actions.select([name for name in wanted if name in actions.column_names]).to_pylist()
    return [_table_file(row, fixed, columns) for row in rows]


def _table_file(row: Mapping[str, Any], fixed: list[str], columns: set[str]) -> TableFile:
    values = {name: str(row[f"partition.{name}"]) for name in fixed}
    low, high = row.get(f"min.{PARTITION}"), row.get(f"max.{PARTITION}")
    one = low if low == high and not row["path"].rpartition("/")[2].startswith(PARTITIONS) else None
    version = values.get(VERSION_COLUMN)
    versions = (version, version) if version else (row.get(f"min.{VERSION_COLUMN}"), row.get(f"max.{VERSION_COLUMN}"))
    return TableFile(
        path=row["path"],
        bytes=row["size_bytes"],
        rows=row["num_records"],
        values=tuple(values.items()),
        key=values.get(PARTITION, one if PARTITION in columns else ""),
        versions=(_version(versions[0]), _version(versions[1])),
        versioned=VERSION_COLUMN in columns,
    )


def partition_states(table: DeltaTable, folder: Path) -> dict[str, PartitionState]:
    """Return the state of each partition by key (``""`` for a table without), no data read."""
    states: dict[str, PartitionState] = {}
    for key, state in _file_states(table, folder):
        states[key] = states[key].joined(state) if key in states else state
    return dict(sorted(states.items()))


def _file_states(table: DeltaTable, folder: Path) -> Iterator[tuple[str, PartitionState]]:
    for file in table_files(table):
        parts = file.parts(folder)
        total, fixed = sum(part.rows for part in parts.values()), _version(dict(file.values).get(VERSION_COLUMN))
        for key, part in parts.items():
            size = file.bytes * part.rows // total if total else file.bytes // len(parts)
            lowest, highest = (part.lowest, part.highest) if fixed is None else (fixed, fixed)
            yield key, PartitionState(part.rows, 1, size, lowest, highest, part.content)


def joined_content(one: str, other: str) -> str:
    """Return the token of the content of both together, in whatever order."""
    return f"{int(one or '0', 16) ^ int(other or '0', 16):016x}"


@lru_cache(maxsize=_FILES_KEPT)
def _parts_in(path: Path, content: str) -> Mapping[str, Part]:
    """Return what a file holds of each partition: by its footer, or by its rows if another writer made it."""
    told = (pq.read_metadata(path).metadata or {}).get(_FOOTER_KEY.encode())
    if told is not None:
        noted = json.loads(told).items()
        return MappingProxyType({key: Part(rows, own or content, *ends) for key, (rows, own, *ends) in noted})
    keys = pq.read_table(path, columns=[PARTITION], partitioning=None)[PARTITION]
    return MappingProxyType({key or "": Part(rows, content) for key, rows in Counter(keys.to_pylist()).items()})


@lru_cache(maxsize=_FILES_KEPT)
def bounds_in(path: Path, column: str) -> tuple[Any, Any]:
    """Return the least and greatest value of a column in a file, by its footer: of some files the log has no bounds."""
    footer = pq.read_metadata(path)
    index = next((index for index, name in enumerate(footer.schema.names) if name == column), None)
    if index is None:
        return None, None
    groups = [footer.row_group(group).column(index).statistics for group in range(footer.num_row_groups)]
    bounds: list[tuple[Any, Any]] = [
        (group.min, group.max) for group in groups if group is not None and group.has_min_max
    ]
    return min((low for low, _ in bounds), default=None), max((high for _, high in bounds), default=None)


def _version(value: object) -> int | None:
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _greatest(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)

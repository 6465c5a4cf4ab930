"""What a commit writes again of a table: rows that share a file with replaced ones, small files, earlier layouts.

Nothing is lost or seen twice: what is written again takes the place of its files in one commit, under whose lock the
plan is made once more, and carried out again if it has changed. The tokens of contents go along, so that nobody takes
it for other rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from metaplatform.naming import PARTITION
from metaplatform.resources.delta.delta_files import FILE_ROWS, StagedFiles
from metaplatform.resources.delta.delta_partitions import TableFile, joined_content, table_files
from metaplatform.resources.delta.delta_tables import arrow_schema

_FILE_BYTES = 32 * 2**20
_BATCH_ROWS = 32_768
_SMALL_FILES = 64
"""Files that a write leaves small; one that finds as many joins them, which costs each of them a few milliseconds."""

Files = tuple[TableFile, ...]


@dataclass(frozen=True)
class Replacement:
    """Which rows make way: those of ``partitions`` (``""`` in a table without) that have ``values``.

    ``values`` are of the table's Delta partition columns, which ``_partition`` is not: a file holds many of those.
    ``whole`` is what leaves no other row, whatever partitions the table has: its columns and types may change.
    """

    partitions: frozenset[str]
    values: Mapping[str, str | int]
    whole: bool = False

    @property
    def columns(self) -> tuple[frozenset[str], bool]:
        """Return what rows are told apart by."""
        return frozenset(self.values), self.partitions != {""}

    def takes_all(self, table: DeltaTable, folder: Path) -> bool:
        """Tell whether no row of the table would stay: then its columns may change as well."""
        found, mine = partition_columns(table), _texts(self.values)
        return (
            self.whole
            or found != self.columns
            or all(
                dict(file.fixed) == mine and self.partitions >= file.parts(folder).keys() for file in table_files(table)
            )
        )


@dataclass(frozen=True)
class Plan:
    """Files that make way for a replacement, rows of some of which stay, and small ones that become one."""

    touched: Files = ()
    joined: tuple[Files, ...] = ()

    @property
    def paths(self) -> frozenset[str]:
        """Return the files that are not the table's any more."""
        return frozenset(file.path for file in chain(self.touched, *self.joined))


@dataclass(frozen=True)
class Rewritten:
    """The files that a plan takes away, and those that hold again what stays of them."""

    plan: Plan
    kept: tuple[StagedFiles, ...]
    joined: tuple[StagedFiles, ...]

    @property
    def written_at(self) -> int:
        """Return when the last file was written, in milliseconds."""
        return max(staged.written_at for staged in chain(self.kept, self.joined))

    def actions(self, schema: pa.Schema, moment: int) -> Iterator[AddAction | RemoveAction]:
        """Yield the actions for a table of ``schema``; joining files leaves its data as they are."""
        for staged in self.kept:
            yield from staged.actions_in(schema)
        for staged in self.joined:
            yield from (replace(action, data_change=False) for action in staged.actions_in(schema))
        for files, changed in ((self.plan.touched, True), (tuple(chain(*self.plan.joined)), False)):
            yield from (RemoveAction(file.path, changed, moment, file.bytes, {**dict(file.values)}) for file in files)

    def keep(self) -> None:
        """Leave the new files in place: a commit refers to them now."""
        for staged in chain(self.kept, self.joined):
            staged.keep()


def partition_columns(table: DeltaTable) -> tuple[frozenset[str], bool]:
    """Return the table's Delta partition columns, and whether it has partitions, whose keys its files may mix."""
    fixed = frozenset(table.metadata().partition_columns)
    return fixed - {PARTITION}, PARTITION in {field.name for field in table.schema().fields}


def is_of_earlier_layout(table: DeltaTable) -> bool:
    """Tell whether each file of the table holds one partition, which the log alone names."""
    return PARTITION in table.metadata().partition_columns


def plan_replacement(table: DeltaTable, folder: Path, replaced: Replacement) -> Plan:
    """Return which files a replacement takes away, and which small ones it joins on its way."""
    mine = _texts(replaced.values)
    files = [file for file in table_files(table) if dict(file.fixed) == mine]
    files.sort(key=lambda file: file.path)
    touched = tuple(file for file in files if not replaced.partitions.isdisjoint(file.parts(folder)))
    others = list(set(files) - set(touched))
    return Plan(touched, _small_groups(others, folder, _SMALL_FILES) if partition_columns(table)[1] else ())


def plan_joining(table: DeltaTable, folder: Path, *, at_least: int) -> Plan:
    """Return which small files to join, where there are as many in a Delta partition."""
    if not partition_columns(table)[1] or is_of_earlier_layout(table):
        return Plan()
    groups = groupby(sorted(table_files(table), key=lambda file: file.values), key=lambda file: file.values)
    return Plan(joined=tuple(chain(*(_small_groups(list(files), folder, at_least) for _, files in groups))))


def rewritten(table: DeltaTable, folder: Path, plan: Plan, dropped: frozenset[str], stack: ExitStack) -> Rewritten:
    """Write again what stays of the files of ``plan`` without the partitions ``dropped``; ``stack`` removes it."""
    kept = _staged(table, folder, plan.touched, dropped, stack)
    joined = tuple(chain(*(_staged(table, folder, files, frozenset(), stack) for files in plan.joined)))
    return Rewritten(plan, kept, joined)


def take_over(folder: Path, table: DeltaTable, properties: CommitProperties) -> DeltaTable:
    """Write a table of an earlier layout again, in one commit, and return it; rows and contents stay the same.

    To be called under the table's lock; readers see the old files until it is done.
    """
    fixed = [name for name in table.metadata().partition_columns if name != PARTITION]
    files = sorted(table_files(table), key=lambda file: (file.fixed, file.key or "", file.path))
    with ExitStack() as stack:
        groups = (tuple(files) for _, files in groupby(files, key=lambda file: file.fixed))
        staged = [each for files in groups for each in _staged(table, folder, files, frozenset(), stack)]
        schema = arrow_schema(table)
        actions = [replace(action, data_change=False) for each in staged for action in each.actions_in(schema)]
        create_table_with_add_actions(
            folder.as_uri(),
            Schema.from_arrow(schema),
            actions,
            mode="overwrite",
            partition_by=fixed,
            commit_properties=properties,
        )
        for each in staged:
            each.keep()
    return DeltaTable(folder.as_uri())


def _small_groups(files: Sequence[TableFile], folder: Path, at_least: int) -> tuple[Files, ...]:
    """Return the small ones among files of one Delta partition, put together by key, in groups that make a file."""
    sized = [(file, file.parts(folder)) for file in files]
    small = sorted(
        (min(parts, default=""), file.path, file, sum(part.rows for part in parts.values()))
        for file, parts in sized
        if file.bytes < _FILE_BYTES // 2 and sum(part.rows for part in parts.values()) < FILE_ROWS // 2
    )
    groups: list[list[TableFile]] = [[]]
    rows = size = 0
    for _, _, file, count in small if len(small) >= at_least else ():
        if rows + count > FILE_ROWS or size + file.bytes > _FILE_BYTES:
            groups.append([])
            rows = size = 0
        groups[-1].append(file)
        rows, size = rows + count, size + file.bytes
    return tuple(tuple(group) for group in groups if len(group) > 1)


def _staged(
    table: DeltaTable, folder: Path, files: Files, dropped: frozenset[str], stack: ExitStack
) -> tuple[StagedFiles, ...]:
    """Write again the rows of files of one Delta partition, but those of the partitions ``dropped``."""
    contents: dict[str, str] = {}
    for file in files:
        for key, part in file.parts(folder).items():
            if key not in dropped:
                contents[key] = joined_content(contents.get(key, ""), part.content)
    if not contents:
        return ()
    fixed = dict(files[0].fixed)
    schema = pa.schema([field for field in arrow_schema(table) if field.name not in fixed])
    staying = [file for file in files if not dropped.issuperset(file.parts(folder))]
    staged = stack.enter_context(StagedFiles(folder, schema, fixed, kept=contents))
    staged.write(_rows(folder, staying, schema, dropped), contents)
    return (staged,)


def _rows(
    folder: Path, files: Sequence[TableFile], schema: pa.Schema, dropped: frozenset[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of files by partition; those of small files with keys in between are read whole, and sorted."""
    parts = {file: file.parts(folder) for file in files}
    ordered = sorted(files, key=lambda file: (min(parts[file]), file.path))
    batches = chain.from_iterable(_batches(folder, file, schema, dropped) for file in ordered)
    ends = [(min(parts[file]), max(parts[file])) for file in ordered]
    if all(before[1] <= after[0] for before, after in pairwise(ends)):
        return batches
    if sum(file.bytes for file in files) > _FILE_BYTES:
        return batches
    whole = pa.Table.from_batches(batches, schema=schema).sort_by(PARTITION)
    return iter(whole.to_batches())


def _batches(folder: Path, file: TableFile, schema: pa.Schema, dropped: frozenset[str]) -> Iterator[pa.RecordBatch]:
    values, keys = dict(file.values), pa.array(sorted(dropped), pa.string())
    with pq.ParquetFile(folder / unquote(file.path)) as opened:
        for batch in opened.iter_batches(_BATCH_ROWS):
            columns = [_column(batch, field, values) for field in schema]
            whole = pa.RecordBatch.from_arrays(columns, schema=schema)
            yield whole.filter(pc.invert(pc.is_in(whole[PARTITION], value_set=keys))) if dropped else whole


def _column(batch: pa.RecordBatch, field: "pa.Field[Any]", values: Mapping[str, str]) -> "pa.Array[Any]":
    there = field.name in batch.schema.names
    stored: pa.Array[Any] = (
        batch.column(field.name).cast(field.type)
        if there
        else pa.repeat(pa.scalar(values.get(field.name), field.type), len(batch))
    )
    return stored


def _texts(values: Mapping[str, str | int]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}

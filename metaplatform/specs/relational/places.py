"""Where the values of a book stand in its tables, and how a fault of one is corrected there."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from metaplatform.chapters import chapter_of
from metaplatform.errors import Location
from metaplatform.naming import ref_name
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.fields.references import Path
from metaplatform.specs.relational.layout import (
    BLOCK_COLUMNS,
    ENTITY_TABLES,
    FEATURE_COLUMNS,
    FEATURES,
    JOIN_COLUMNS,
    JOINS,
    LIST_TABLES,
    PART_TABLES,
    Column,
    ListTable,
)


class Cell(NamedTuple):
    """A table, and in it a column, or None if a whole row or more is meant; ``item`` is the row's name in its list."""

    table: str
    column: str | None = None
    item: str = ""


class TablePlaces:
    """Places of a book that is rows: ``origin``, which stands for the database, then table, entity and column."""

    def __init__(self, origin: str) -> None:
        """Take what stands for the database."""
        self._origin = origin

    def of(self, ref: str, path: Path = (), *, key: bool = False, sql: tuple[int, int] | None = None) -> Location:
        """Return the place of an entity's value, or of its ``key``, or of ``sql``'s line and column within it."""
        cell = cell_of(chapter_of(ref).name, path, key=key)
        row = (cell.table, ref_name(ref), *filter(None, (cell.item, cell.column)))
        return Location("/".join((self._origin, *row)), *(sql or (0, 0)))


def fault_in_rows(chapter: str, fault: Fault) -> Fault:
    """Return a fault of an entity as somebody is told it who writes rows: corrected by a column, not by a key."""
    if fault.rule == "missing-key":
        path = (*fault.path, fault.culprit)
        cell = cell_of(chapter, path)
        fix = f"set {cell.table}.{cell.column}" if cell.column else f"insert its row into {cell.table}"
        return replace(fault, path=path, fix=fix)
    if fault.rule == "unknown-key":
        cell = cell_of(chapter, fault.path)
        fix = f"set {cell.table}.{cell.column} to NULL" if cell.column else f"delete its rows from {cell.table}"
        return replace(fault, fix=fix, nearest=None)
    return fault


def cell_of(chapter: str, path: Path, *, key: bool = False) -> Cell:
    """Return the cell that holds an entity's value, or its ``key``; what no table holds is told as the entity's own."""
    if chapter == "feature_sets" and path[:1] == ("features",):
        return _feature_cell(path[2:], key=key)
    for part in PART_TABLES:
        if part.chapter == chapter and path[: len(part.path)] == part.path:
            column = _column(part.columns, path[len(part.path) :])
            if column or path == part.path:
                return Cell(part.name, column)
    for listed in LIST_TABLES:
        if chapter in listed.chapters and path[: len(listed.path)] == listed.path:
            return _list_cell(listed, path[len(listed.path) :], key=key)
    table = next(table for table in ENTITY_TABLES if table.chapter == chapter)
    return Cell(table.name, _column(table.columns, path))


def _list_cell(listed: ListTable, path: Path, *, key: bool) -> Cell:
    """Return the cell of an item, or of a value in it."""
    item = str(path[0]) if path and listed.key else ""
    if listed.key is not None and key and len(path) == 1:
        return Cell(listed.name, listed.key.name, item)
    return Cell(listed.name, _column(listed.columns, path[1:]) if path else None, item)


def _feature_cell(path: Path, *, key: bool) -> Cell:
    """Return the cell of a value of a block of features."""
    match path:
        case ("columns", name, *_):
            return Cell(FEATURES, FEATURE_COLUMNS[0 if key else 1].name, str(name))
        case ("on", name, *_):
            return Cell(JOINS, JOIN_COLUMNS[0 if key else 1].name, str(name))
        case ("on",):
            return Cell(JOINS)
        case _:
            return Cell(FEATURES, _column(BLOCK_COLUMNS, path))


def _column(columns: Sequence[Column], path: Path) -> str | None:
    """Return the column of ``path``; of a value inside a free map, the map's."""
    for column in columns:
        if any(path[:1] == (name,) for own in column.own.values() for name in own):
            return column.name
        if path == column.path or (column.kind == "mapping" and path[: len(column.path)] == column.path):
            return column.name
    return None

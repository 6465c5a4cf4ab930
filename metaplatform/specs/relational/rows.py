"""A book → rows: every value in its table and column, defaults written out, so that a reader sees what holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from metaplatform.chapters import CHAPTERS
from metaplatform.errors import MetaplatformError
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.relational.layout import (
    BLOCK_COLUMNS,
    ENTITY_TABLES,
    FEATURES,
    JOINS,
    LIST_TABLES,
    PART_TABLES,
    Column,
    ListTable,
    Path,
)

Row = dict[str, Any]
"""Column → value; a column that is not named is NULL."""
Rows = dict[str, list[Row]]
"""Table → its rows."""
_LARGEST_INTEGER = 2**63 - 1


def rows_of(manifest: Manifest) -> dict[str, Rows]:
    """Return the rows of each entity, by reference, in the order of the road.

    Raises:
        MetaplatformError: if a value cannot be kept in a database.
    """
    found: dict[str, Rows] = {}
    for table in ENTITY_TABLES:
        entities = manifest.entries(CHAPTERS[table.chapter])
        for position, (name, entity) in enumerate(entities.items()):
            body = entity.model_dump(mode="json", exclude={"name"})
            row: Row = {"name": name, "position": position, **_cells(table.columns, body)}
            ref = CHAPTERS[table.chapter].ref(name)
            found[ref] = {table.name: [row], **_parts(table.chapter, name, ref, body)}
            _check_storable(ref, found[ref])
    return found


def _parts(chapter: str, name: str, ref: str, body: Mapping[str, Any]) -> Rows:
    rows: Rows = {}
    for part in PART_TABLES:
        if part.chapter == chapter and (inner := value_at(body, part.path)) is not None:
            rows[part.name] = [{part.owner: name, **_cells(part.columns, inner)}]
    for listed in LIST_TABLES:
        if chapter in listed.chapters:
            owner = {listed.owner: ref if listed.by_reference else name, **dict([listed.fixed] if listed.fixed else [])}
            items = [
                {**owner, "ordinal": ordinal, **item}
                for ordinal, item in enumerate(_items(listed, value_at(body, listed.path)))
            ]
            if items:
                rows.setdefault(listed.name, []).extend(items)
    if chapter == "feature_sets":
        rows[FEATURES] = list(_features(name, body["features"]))
        rows[JOINS] = list(_joins(name, body["features"]))
    return {table: found for table, found in rows.items() if found}


def _items(listed: ListTable, value: Any) -> Iterator[Row]:
    if value == [] and listed.empty:
        yield {column.name: None for column in listed.columns}
    elif listed.key:
        for key, inner in (value or {}).items():
            yield {listed.key.name: key, **_cells(listed.columns, inner)}
    else:
        for inner in value or []:
            yield _cells(listed.columns, inner)


def _features(name: str, blocks: list[dict[str, Any]]) -> Iterator[Row]:
    ordinal = 0
    for number, block in enumerate(blocks):
        for feature, expression in block["columns"].items():
            yield {
                "feature_set": name,
                "ordinal": ordinal,
                "block": number,
                **_cells(BLOCK_COLUMNS, block),
                "name": feature,
                "expression": expression,
            }
            ordinal += 1


def _joins(name: str, blocks: list[dict[str, Any]]) -> Iterator[Row]:
    for number, block in enumerate(blocks):
        for ordinal, (spine_column, table_column) in enumerate(block.get("on", {}).items()):
            yield {
                "feature_set": name,
                "block": number,
                "ordinal": ordinal,
                "spine_column": spine_column,
                "table_column": table_column,
            }


def _cells(columns: tuple[Column, ...], body: Any) -> Row:
    cells = {column.name: value_at(body, column.path) for column in columns}
    for column in columns:
        if column.own and (own := column.own.get(body["kind"])):
            cells.update({other.name: None for other in columns if other.path[0] in own})
            cells[column.name] = {key: body[key] for key in sorted(own) if key in body}
    for column in columns:
        if cells[column.name] == column.when_null or (column.kind == "mapping" and not cells[column.name]):
            cells[column.name] = None
    return cells


def value_at(body: Any, path: Path) -> Any:
    """Return the value at the end of ``path``, or None where the path leaves the mapping."""
    for key in path:
        if not isinstance(body, Mapping) or key not in body:
            return None
        body = body[key]
    return body


def _check_storable(ref: str, rows: Rows) -> None:
    for table, table_rows in rows.items():
        for column, value in (cell for row in table_rows for cell in row.items()):
            if isinstance(value, str) and ("\0" in value or any("\ud800" <= char <= "\udfff" for char in value)):
                raise MetaplatformError(
                    owner=ref,
                    culprit=f"{table}.{column} holds a character that no database keeps: {value!r:.80}",
                    fix="remove it from the book",
                )
            if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
                raise MetaplatformError(
                    owner=ref, culprit=f"{table}.{column} is {value}", fix="use a number of 18 digits at most"
                )

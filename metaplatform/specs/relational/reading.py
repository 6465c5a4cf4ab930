"""Rows → the book's JSON values, whoever wrote them: what does not fit is an issue, never an exception."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from metaplatform.chapters import CHAPTERS, FEATURE_SETS
from metaplatform.errors import Issue
from metaplatform.specs.relational.layout import (
    ALONE,
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
from metaplatform.specs.relational.rows import value_at

TableRows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Table → its rows, as a database gives them."""
Bodies = dict[str, dict[str, Any]]
"""Entity name → its fields as JSON values, of one chapter."""


def snapshot_of_rows(rows: TableRows) -> tuple[dict[str, Bodies], tuple[Issue, ...]]:
    """Return the snapshot that rows hold, and an issue for each row that belongs nowhere or is there twice."""
    snapshot = {table.chapter: _entities(table.columns, rows.get(table.name, ())) for table in ENTITY_TABLES}
    reader = _Reader(
        {CHAPTERS[chapter].ref(name): body for chapter in snapshot for name, body in snapshot[chapter].items()}
    )
    for part in PART_TABLES:
        for row in rows.get(part.name, ()):
            body = reader.body(part.name, CHAPTERS[part.chapter].ref(str(row[part.owner])))
            inner = _mapping_at(body, part.path)
            _fill(inner, part.columns, row)
    for listed in LIST_TABLES:
        reader.read_list(listed, rows.get(listed.name, ()))
        reader.check_lists(listed, rows.get(listed.name, ()))
        for chapter in listed.chapters:
            reader.fill_absent_lists(listed, snapshot[chapter].values())
    reader.read_features(rows.get(FEATURES, ()), rows.get(JOINS, ()))
    return {chapter: bodies for chapter, bodies in snapshot.items() if bodies}, tuple(dict.fromkeys(reader.issues))


def _entities(columns: tuple[Column, ...], rows: Iterable[Mapping[str, Any]]) -> Bodies:
    ordered = sorted(rows, key=lambda row: (_in_order(row.get("position")), str(row["name"])))
    bodies: Bodies = {}
    for row in ordered:
        _fill(bodies.setdefault(str(row["name"]), {}), columns, row)
    return bodies


class _Reader:
    """Puts rows into the entities they belong to, and keeps what is wrong with them."""

    def __init__(self, bodies: Mapping[str, dict[str, Any]]) -> None:
        self._bodies = bodies
        self.issues: list[Issue] = []

    def body(self, table: str, ref: str) -> dict[str, Any]:
        """Return the entity's fields; a mapping that nobody reads, and an issue, if there is no such entity."""
        if ref not in self._bodies:
            self._report("orphan-row", ref, table, f"{table} has rows of '{ref}', which does not exist")
            return {}
        return self._bodies[ref]

    def read_list(self, listed: ListTable, rows: Sequence[Mapping[str, Any]]) -> None:
        mine = [row for row in rows if listed.fixed is None or row[listed.fixed[0]] == listed.fixed[1]]
        for owner, items in _by_owner(mine, listed.owner).items():
            ref = owner if listed.by_reference else CHAPTERS[listed.chapters[0]].ref(owner)
            body = self._part(listed, ref)
            *parents, last = listed.path
            _mapping_at(body, tuple(parents))[last] = self._collect(listed, ref, items)

    def check_lists(self, listed: ListTable, rows: Sequence[Mapping[str, Any]]) -> None:
        """Report rows that are of none of the lists that share the table."""
        if listed.fixed is None:
            return
        column = listed.fixed[0]
        lists = [other.fixed[1] for other in LIST_TABLES if other.name == listed.name and other.fixed]
        for row in rows:
            if row[column] not in lists:
                ref, told = CHAPTERS[listed.chapters[0]].ref(str(row[listed.owner])), str(row[column])
                names = ", ".join(str(each).lower() for each in lists)
                message = f"{listed.name}.{column} is '{told}', which is not one of: {names}"
                self.issues.append(Issue("unknown-value", ref, told, message, "use one of the values that are named"))

    def _part(self, listed: ListTable, ref: str) -> dict[str, Any]:
        """Return the fields a list belongs to; a mapping that nobody reads, and an issue, if they are not there."""
        body = self.body(listed.name, ref)
        for part in PART_TABLES:
            inside = part.chapter in listed.chapters and listed.path[: len(part.path)] == part.path
            if inside and ref in self._bodies and value_at(body, part.path) is None:
                self._report("orphan-row", ref, listed.name, f"{listed.name} has rows of '{ref}', {part.name} has none")
                return {}
        return body

    def fill_absent_lists(self, listed: ListTable, bodies: Iterable[dict[str, Any]]) -> None:
        """Let a mapping that is there hold its list, without rows an empty one."""
        *parents, last = listed.path
        for body in bodies:
            if parents and isinstance(parent := value_at(body, tuple(parents)), dict):
                parent.setdefault(last, [])

    def _collect(self, listed: ListTable, ref: str, items: list[Mapping[str, Any]]) -> Any:
        values = [_value(listed.columns, item) for item in items]
        if listed.key is None:
            return [] if listed.empty and values == [None] else values
        return self._mapping(
            listed.name, ref, [(str(item[listed.key.name]), value) for item, value in zip(items, values, strict=True)]
        )

    def _mapping(self, table: str, ref: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                self._report("duplicate-name", ref, key, f"'{key}' is in {table} twice", culprit_table=table)
            found.setdefault(key, value)
        return found

    def read_features(self, rows: Sequence[Mapping[str, Any]], joins: Sequence[Mapping[str, Any]]) -> None:
        joined = {name: _by_owner(found, "block") for name, found in _by_owner(joins, "feature_set").items()}
        sets = _by_owner(rows, "feature_set")
        for name in [name for name in joined if name not in sets]:
            self.body(JOINS, FEATURE_SETS.ref(name))
        for name, features in sets.items():
            ref = FEATURE_SETS.ref(name)
            body = self.body(FEATURES, ref)
            blocks = body["features"] = []
            # Rows that follow each other and agree are a block; one that was edited alone becomes its own.
            for _, members in groupby(features, key=_block_of):
                block = list(members)
                found: dict[str, Any] = {}
                _fill(found, BLOCK_COLUMNS, block[0])
                if found.get("kind") not in ALONE:
                    of_block = joined.get(name, {}).get(str(block[0]["block"]), [])
                    pairs = [(str(row["spine_column"]), row["table_column"]) for row in of_block]
                    found["on"] = self._mapping(JOINS, ref, pairs)
                columns = [(str(row["name"]), row["expression"]) for row in block]
                found["columns"] = self._mapping(FEATURES, ref, columns)
                blocks.append(found)

    def _report(self, rule: str, ref: str, culprit: str, message: str, *, culprit_table: str = "") -> None:
        table = culprit_table or culprit
        self.issues.append(Issue(rule, ref, culprit, message, f"delete the row from {table}, or correct its name"))


def _block_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (row["block"], *(row.get(column.name) for column in BLOCK_COLUMNS))


def _by_owner(rows: Iterable[Mapping[str, Any]], owner: str) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: _in_order(row.get("ordinal"))):
        found[str(row[owner])].append(row)
    return dict(found)


def _value(columns: tuple[Column, ...], row: Mapping[str, Any]) -> Any:
    if columns[0].path == ():
        return row[columns[0].name]
    found: dict[str, Any] = {}
    _fill(found, columns, row)
    return found


def _fill(body: dict[str, Any], columns: tuple[Column, ...], row: Mapping[str, Any]) -> None:
    for column in columns:
        value = row.get(column.name)
        if column.own and isinstance(value, Mapping):
            body.update(value)
        elif value is not None:
            *parents, last = column.path
            _mapping_at(body, tuple(parents))[last] = value


def _mapping_at(body: dict[str, Any], path: Path) -> dict[str, Any]:
    for key in path:
        body = body.setdefault(key, {})
    return body


def _in_order(value: object) -> tuple[bool, float, str]:
    """Return a sort key: numbers first, then what a database without strict types may hold instead."""
    if isinstance(value, int | float):
        return (False, value, "")
    return (True, 0, str(value))

"""Which files of a source have changed since it was read, and whether they can be read without the others."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

import ibis

from metaplatform.compute.ingestion import MOMENT, REASON, repeats_key
from metaplatform.compute.sql_columns import Scope
from metaplatform.naming import FILE, PARTITION
from metaplatform.resources.delta.delta_types import storable_schema
from metaplatform.resources.engine.session import Session
from metaplatform.resources.sources.source_reader import SourceRows
from metaplatform.resources.storage.source_contents import ContentRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.source_contents import SourceContents, StagedFile, StagedFiles
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.work.staged_files import Taken, count, staged_rows, tables_of, token_of

_MOST = 0.5
"""Where more than this share of the bytes has changed, all files are read again: it costs no more."""


@dataclass(frozen=True)
class Changes:
    """What has changed since a source was read: the paths to read, and the numbers whose rows there make way.

    ``known`` is what was found then, ``before`` how it is staged, ``files`` how it will be.
    """

    known: SourceContents
    before: StagedFiles
    wanted: frozenset[str]
    replaced: frozenset[str]
    files: Mapping[str, StagedFile]

    @property
    def numbers(self) -> frozenset[str]:
        """Return all numbers whose rows are written: those of files that are gone have none."""
        return self.replaced | {self.files[path].number for path in self.wanted}


def release_of(session: Session) -> str:
    """Return what has read rows and told them apart: another release may do it otherwise."""
    return f"{version('metaplatform')} {session.release}"


def first_numbers(paths: Collection[str], marks: Mapping[str, str]) -> dict[str, StagedFile]:
    """Return the files of a source that is read whole, numbered in their order."""
    return {path: StagedFile(_number(index), marks.get(path, "")) for index, path in enumerate(paths)}


def changes(
    session: Session, warehouse: Warehouse, source: SourceSpec, marks: Mapping[str, str], spec_hash: str, at: datetime
) -> Changes | None:
    """Return what has changed where files with these ``marks`` are read ``at`` a moment; None: read all of them.

    A file is read again where it is new or another one, and where rows lay too far ahead when it was read last.
    """
    records = ContentRecords(warehouse.root_path)
    known, before = records.read(source.name), records.files(source.name)
    if not marks or known is None or before is None or known.mark != before.mark or known.spec_hash != spec_hash:
        return None
    if (
        before.engine != release_of(session)
        or at < known.arrived_at
        or before.tables != token_of(warehouse, source.ref)
    ):
        return None
    due = _due(session, warehouse, source, known.arrived_at, at)
    files = {path: found for path, found in before.files.items() if path in marks}
    wanted = {path for path, mark in marks.items() if path not in files or files[path].mark != mark}
    wanted |= {path for path, found in files.items() if found.number in due}
    if _bytes(marks, wanted) > _MOST * _bytes(marks, marks):
        return None
    replaced = {found.number for path, found in before.files.items() if path in wanted or path not in marks}
    free = 1 + max((int(found.number) for found in before.files.values()), default=-1)
    for index, path in enumerate(path for path in marks if path not in files):
        files[path] = StagedFile(_number(free + index), "")
    after = {path: StagedFile(files[path].number, mark) for path, mark in marks.items()}
    return Changes(known, before, frozenset(wanted), frozenset(replaced), after)


def columns_of(files: SourceRows) -> dict[str, str]:
    """Return the columns of files with their types, before they are held against the book."""
    return {name: str(kind) for name, kind in files.rows.schema().items() if name != FILE}


def read_apart(session: Session, warehouse: Warehouse, source: SourceSpec, found: Changes, taken: Taken | None) -> bool:
    """Tell whether the changed files, read without the others, are what they are beside them.

    So it is if they have the columns and types that all had together: then no other file has others. And no row of
    theirs, then or now, may have the key of a row of another file.
    """
    same = found.before.alike if taken is None else _same_columns(session, source, found, taken.files)
    return same and not (source.key and _meets_others(session, warehouse, source, found, taken))


def _same_columns(session: Session, source: SourceSpec, found: Changes, files: SourceRows) -> bool:
    """Tell whether some files have the columns and types that all had; what is gone may have said them, too."""
    if columns_of(files) != found.before.columns or any(
        not kinds <= found.before.kinds.get(name, kinds) for name, kinds in files.kinds.items()
    ):
        return False
    return not (found.replaced and not source.columns and any(_without_values(session, files.rows)))


def _number(index: int) -> str:
    return f"{index:09d}"


def _bytes(marks: Mapping[str, str], paths: Collection[str]) -> int:
    return sum(int(marks[path].partition(" ")[0]) for path in paths)


def _due(session: Session, warehouse: Warehouse, source: SourceSpec, before: datetime, now: datetime) -> frozenset[str]:
    """Return the numbers of files with a row that lay too far ahead ``before``, and does not any more."""
    turned_away = staged_rows(session, warehouse, tables_of(source.ref)[1])
    if source.event_timestamp is None or turned_away is None:
        return frozenset()
    moment, ahead = turned_away[MOMENT], source.max_ahead
    rows = turned_away.filter(moment > ibis.literal(ahead.behind(before)), moment <= ibis.literal(ahead.behind(now)))
    found = session.stream(rows.select(PARTITION).distinct()).read_all()
    return frozenset(str(number) for number in found[PARTITION].to_pylist())


def _without_values(session: Session, rows: ibis.Table) -> Iterator[bool]:
    """Yield of each column of text whether it has no value: then another file's say what type it has."""
    texts = [name for name, kind in rows.schema().items() if kind.is_string() and name != FILE]
    if texts:
        counted = rows.aggregate(**{f"_{index}": rows[name].count() for index, name in enumerate(texts)})
        for values in session.stream(counted).read_all().to_pylist():
            yield from (not value for value in values.values())


def _meets_others(
    session: Session, warehouse: Warehouse, source: SourceSpec, found: Changes, taken: Taken | None
) -> bool:
    """Tell whether a changed file has, or had, a row with the key of a row of another file."""
    stored, turned_away, _ = (staged_rows(session, warehouse, table) for table in tables_of(source.ref))
    if stored is None:
        return False
    if found.replaced and turned_away is not None:
        repeats = turned_away.filter(turned_away[REASON] == repeats_key(source))
        if count(session, _of_others(repeats, found.replaced).limit(1)):
            return True
    if taken is None:
        return False
    keys = [Scope.of(taken.accepted.columns, "table").find(name) for name in source.key]
    mine = taken.accepted.select(*keys)
    fields = mine.schema().to_pyarrow()
    if not storable_schema(fields, owner=source.ref).equals(fields):
        return True
    return bool(count(session, _of_others(stored, found.replaced).semi_join(mine, keys).limit(1)))


def _of_others(rows: ibis.Table, numbers: Collection[str]) -> ibis.Table:
    return rows.filter(rows[PARTITION].notin(sorted(numbers))) if numbers else rows

"""The book in a database: read in one look, pushed in one transaction, never over an edit that nobody has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa

from metaplatform.chapters import chapter_of
from metaplatform.errors import BookError, Issue, MetaplatformError, StorageError
from metaplatform.naming import ref_name
from metaplatform.resources.book.book_audit import audit_changes
from metaplatform.resources.book.book_connections import (
    book_engine,
    book_url,
    check_file_exists,
    transaction,
)
from metaplatform.resources.book.book_layout import complete, holds_book
from metaplatform.resources.book.book_tables import book_tables, chapters_of_tables, content_tables, owner_columns
from metaplatform.resources.book.book_triggers import audited_by_entity
from metaplatform.resources.process.database_urls import shown_url
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Look
from metaplatform.specs.relational.reading import snapshot_of_rows
from metaplatform.specs.relational.rows import Rows, rows_of
from metaplatform.specs.snapshot_changes import (
    EntityChange,
    by_reference,
    canonical_snapshot,
    content_hash,
    snapshot_changes,
)
from metaplatform.specs.snapshots import Snapshot, read_snapshot, snapshot_of


@dataclass(frozen=True)
class BookContents:
    """What a database held at one moment: the canonical snapshot, and rows that belong nowhere."""

    snapshot: Snapshot
    issues: tuple[Issue, ...] = ()

    @cached_property
    def hash(self) -> str:
        """Return the hash of all of it, made from the content itself: no column could forget a hand's edit."""
        return content_hash([self.snapshot, [str(issue) for issue in self.issues]])

    @cached_property
    def entity_hashes(self) -> dict[str, str]:
        """Return the hash of each entity by reference."""
        return {ref: content_hash(fields) for ref, fields in by_reference(self.snapshot).items()}


@dataclass(frozen=True)
class PushPlan:
    """What a push changes, what it leaves though the book does not have it, and what it must not overwrite.

    ``conflicts`` are changes to entities that the database holds otherwise than when they were last seen.
    """

    changes: tuple[EntityChange, ...]
    left: tuple[str, ...]
    conflicts: tuple[EntityChange, ...]
    contents: BookContents


class ConflictError(MetaplatformError):
    """The database was changed since it was last seen; carries what a push would overwrite."""

    def __init__(self, *, owner: str, conflicts: Sequence[EntityChange]) -> None:
        """Name every entity."""
        self.conflicts = tuple(conflicts)
        names = ", ".join(change.ref for change in conflicts)
        super().__init__(
            owner=owner,
            culprit=f"changed since this checkout last pulled or pushed: {names}",
            fix="look with `metaplatform book diff`, then `book pull` and merge; `--force` overwrites them",
        )


def entity_hashes(manifest: Manifest) -> dict[str, str]:
    """Return the hash of each entity of a book, as a database that holds it has them."""
    return {ref: content_hash(fields) for ref, fields in by_reference(snapshot_of(manifest)).items()}


def plan_push(manifest: Manifest, contents: BookContents, seen: Mapping[str, str], *, delete: bool) -> PushPlan:
    """Return what a push of ``manifest`` does to ``contents``; ``seen`` is the hash of each entity when last seen."""
    everything = snapshot_changes(contents.snapshot, snapshot_of(manifest))
    changes = tuple(change for change in everything if delete or change.kind != "removed")
    left = tuple(change.ref for change in everything if change.kind == "removed" and not delete)
    conflicts = tuple(change for change in changes if contents.entity_hashes.get(change.ref) != seen.get(change.ref))
    return PushPlan(changes, left, conflicts, contents)


class BookDatabase:
    """The book's tables behind a database URL; ``name`` is the URL without its password."""

    def __init__(self, url: str) -> None:
        """Take the URL; nothing is connected yet.

        Raises:
            MetaplatformError: if it is not a URL, or its driver is not installed.
        """
        parsed = book_url(url)
        self.name = shown_url(parsed)
        self._engine = book_engine(parsed)

    def read(self) -> BookContents:
        """Return what the database holds, all of one moment.

        Raises:
            StorageError: if it cannot be reached, or holds no book.
        """
        check_file_exists(self._engine.url)
        with transaction(self._engine) as connection:
            if not holds_book(connection, self.name):
                raise StorageError(
                    owner=self.name, culprit="it holds no book", fix="`metaplatform book push` makes the tables"
                )
            return _contents(connection)

    def read_manifest(
        self, root: Path, *, source_folders: Sequence[str] = (), look: Look | None = None
    ) -> tuple[Manifest | None, tuple[Issue, ...], BookContents]:
        """Return the book, or None if it has faults; every issue; and what was read.

        ``root`` is the project folder that relative source paths start from, ``source_folders`` are others that
        sources may read; ``look`` says what their files hold.

        Raises:
            StorageError: as :meth:`read` does.
        """
        contents = self.read()
        manifest, issues = read_snapshot(
            contents.snapshot,
            root=root,
            origin=self.name,
            source_folders=source_folders,
            look=look,
            whole=not contents.issues,
        )
        return (None if contents.issues else manifest), (*contents.issues, *issues), contents

    def manifest(self, root: Path) -> Manifest:
        """Return the book.

        Raises:
            BookError: with every fault, if it is not sound.
            StorageError: as :meth:`read` does.
        """
        manifest, issues, _ = self.read_manifest(root)
        if manifest is None:
            raise BookError(issues)
        return manifest

    def plan(self, manifest: Manifest, seen: Mapping[str, str], *, delete: bool) -> PushPlan:
        """Return what a push would do now, without doing it; an absent database counts as empty."""
        url = self._engine.url
        if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
            return plan_push(manifest, BookContents({}), seen, delete=delete)
        with transaction(self._engine) as connection:
            contents = _contents(connection) if holds_book(connection, self.name) else BookContents({})
        return plan_push(manifest, contents, seen, delete=delete)

    def push(
        self, manifest: Manifest, seen: Mapping[str, str], *, by: str, now: datetime, delete: bool, force: bool
    ) -> PushPlan:
        """Bring the database to the book in one transaction; return what was changed.

        ``by`` and ``now`` (UTC) go to the audit. ``delete`` removes what the book does not have, ``force``
        overwrites what was edited since it was ``seen``.

        Raises:
            ConflictError: if it would overwrite such an edit; nothing is written then.
            MetaplatformError: if a value of the book cannot be kept in a database.
            StorageError: if the database refuses.
        """
        rows = _lossless_rows(manifest)
        with transaction(self._engine, write=True) as connection:
            complete(connection, self.name)
        with transaction(self._engine, write=True, tables=content_tables()) as connection:
            plan = plan_push(manifest, _contents(connection), seen, delete=delete)
            if plan.conflicts and not force:
                raise ConflictError(owner=self.name, conflicts=plan.conflicts)
            with audited_by_entity(connection):
                _write(connection, plan, rows, delete=delete)
            audit_changes(connection, plan.changes, by=by, now=now)
        return plan


def _contents(connection: sa.Connection) -> BookContents:
    rows = {
        str(table.name): [dict(row) for row in connection.execute(table.select()).mappings()]
        for table in content_tables()
    }
    snapshot, issues = snapshot_of_rows(rows)
    return BookContents(canonical_snapshot(snapshot), issues)


def _lossless_rows(manifest: Manifest) -> dict[str, Rows]:
    """Return the book's rows, having made sure that the same book comes back from them."""
    rows = rows_of(manifest)
    tables: Rows = {}
    for of_entity in rows.values():
        for table, found in of_entity.items():
            tables.setdefault(table, []).extend(found)
    again, _ = snapshot_of_rows(tables)
    for change in snapshot_changes(snapshot_of(manifest), canonical_snapshot(again)):
        raise MetaplatformError(
            owner=change.ref,
            culprit=f"the tables have no place for {', '.join(field.path for field in change.fields) or 'it'}",
            fix="take it out of the book, or keep the book in YAML",
        )
    return rows


def _write(connection: sa.Connection, plan: PushPlan, rows: Mapping[str, Rows], *, delete: bool) -> None:
    changed = {change.ref for change in plan.changes}
    orphans = {issue.owner for issue in plan.contents.issues} if delete else set()
    stale = list(reversed(content_tables()))
    for ref in (*changed, *orphans):
        _delete_rows(connection, stale, ref)
    for table in content_tables():
        new = [row for ref in rows if ref in changed for row in rows[ref].get(str(table.name), ())]
        if new:
            columns = [column.name for column in table.columns]
            connection.execute(table.insert(), [{name: row.get(name) for name in columns} for row in new])
    _keep_order(connection, rows, changed)


def _delete_rows(connection: sa.Connection, tables: Sequence[sa.Table], ref: str) -> None:
    chapter, name = chapter_of(ref).name, ref_name(ref)
    for table in tables:
        owner, referenced = owner_columns()[str(table.name)]
        if chapter in chapters_of_tables()[str(table.name)]:
            connection.execute(table.delete().where(table.c[owner] == (ref if referenced else name)))


def _keep_order(connection: sa.Connection, rows: Mapping[str, Rows], changed: set[str]) -> None:
    """Give the entities that were left alone their place in the book."""
    tables = book_tables().tables
    for ref in (ref for ref in rows if ref not in changed):
        for name, found in rows[ref].items():
            if "position" in found[0]:
                position, table = found[0]["position"], tables[name]
                moved = sa.or_(table.c.position != position, table.c.position.is_(None))
                connection.execute(table.update().where(table.c.name == ref_name(ref), moved).values(position=position))

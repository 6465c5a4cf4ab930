"""What the book says of a table that a new entry reads: its columns, their kinds, and which are known only later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metaplatform.errors import DataError
from metaplatform.naming import ref_name, ref_prefix
from metaplatform.specs.book.columns import KnownColumns
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.entities.ingestion import TimedTable
from metaplatform.specs.rules.leakage import outcomes_of
from metaplatform.sql.value_kinds import Kind
from metaplatform.text.nearest import nearest_name


@dataclass(frozen=True)
class KnownTable:
    """A table with the kind of each column, in order. ``later`` are outcomes, and what is derived from them."""

    ref: str
    spec: TimedTable
    kinds: Mapping[str, Kind]
    later: frozenset[str]

    @property
    def name(self) -> str:
        """Return the table's name without its chapter."""
        return ref_name(self.ref)

    @property
    def entity_key(self) -> tuple[str, ...]:
        """Return the key's columns without the event timestamp: whom or what a row is about."""
        return tuple(name for name in self.spec.key if name != self.spec.event_timestamp)

    @property
    def identity(self) -> tuple[str, ...]:
        """Return the columns that say which row this is, and when."""
        return self.spec.identity


def entity_at(manifest: Manifest, ref: str, prefixes: Sequence[str], *, owner: str) -> Entity:
    """Return the entity at a reference below any of ``prefixes``.

    Raises:
        DataError: if there is none, with the nearest.
    """
    found = manifest.entities.get(ref) if ref_prefix(ref) in prefixes else None
    if found is None:
        known = [each for each in manifest.entities if ref_prefix(each) in prefixes]
        near = nearest_name(ref, known)
        hint = f"; did you mean '{near}'?" if near else ""
        wanted = " or ".join(f"{prefix}.NAME" for prefix in prefixes)
        raise DataError(owner=owner, culprit=f"the book has no '{ref}'{hint}", fix=f"name one as in {wanted}")
    return found


def known_tables(manifest: Manifest) -> tuple[list[KnownTable], list[str]]:
    """Return the book's sources and tables whose columns it knows, and the references of those it does not."""
    columns = KnownColumns(manifest)
    known: list[KnownTable] = []
    unknown: list[str] = []
    for spec in (*manifest.sources.values(), *manifest.tables.values()):
        ref = spec.ref
        names = columns.of(ref)
        if not names:
            unknown.append(ref)
            continue
        by_name = columns.kinds(ref) or {}
        later = outcomes_of(spec)
        known.append(
            KnownTable(
                ref,
                spec,
                {name: by_name.get(name.lower()) for name in names},
                frozenset(name for name in names if name.lower() in later),
            )
        )
    return known, unknown

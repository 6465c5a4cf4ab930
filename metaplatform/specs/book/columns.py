"""Which columns a table of the book has, and of which kinds their values are, as far as the book itself can tell."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from sqlglot import exp

from metaplatform.chapters import FEATURE_SETS
from metaplatform.naming import ref_name
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.ingestion import Source, TimedTable
from metaplatform.specs.unknown import until_unknown
from metaplatform.sql.columns import HIDDEN, Column, Columns, Kinds, kinds_of
from metaplatform.sql.expressions import shared_expression, shared_query
from metaplatform.sql.query_columns import QueryColumns, bound_names, query_columns
from metaplatform.sql.sql_safety import SqlError
from metaplatform.sql.value_kinds import ExpressionKind, Kind, expression_kind, kind_of_type

Names = tuple[str, ...] | None
"""Column names in order, or None where they are unknown."""
_STAMP: dict[str, Kind] = {"model_name": "text", "model_version": "number", "run_id": "text", "scored_at": "moment"}


def columns_of(manifest: Manifest, ref: str) -> Names:
    """Return the columns of a table in order, ``_partition`` left out; None where the book cannot tell.

    Sources that declare no columns are unknown, and so is what selects ``*`` from them. References to
    nothing, or to what is not a table, are unknown too.
    """
    return KnownColumns(manifest).of(ref)


class KnownColumns:
    """The columns of a manifest's tables and the kinds of their values, each text looked at once.

    ``types`` are those of sources that declare no columns, where they are known from elsewhere.
    """

    def __init__(self, manifest: Manifest, types: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Know nothing yet."""
        self._manifest = manifest
        self._types = types or {}
        self._known: dict[str, Columns] = {}
        self._kinds: dict[str, Kinds] = {}
        self._queries: dict[str, QueryColumns] = {}

    def of(self, ref: str) -> Names:
        """Return the columns of ``ref``, as ``columns_of`` does; within a cycle they are unknown."""
        known = self._columns(ref)
        return None if known is None else tuple(column.name for column in known)

    def kinds(self, ref: str) -> Kinds:
        """Return the kinds of the columns of ``ref`` by name, lower case; None where they are unknown."""
        if ref not in self._kinds:
            known = kinds_of(self._columns(ref))
            self._kinds[ref] = known if known is None else {**known, **dict.fromkeys(HIDDEN, "text")}
        return self._kinds[ref]

    def query(self, ref: str) -> QueryColumns:
        """Return the columns of the query of a table or report; unknown, without faults, if it does not parse."""
        if ref not in self._queries:
            entity = self._manifest.entities.get(ref)
            found = QueryColumns(None)
            with suppress(SqlError), until_unknown():
                if entity is not None and entity.book_query is not None:
                    found = query_columns(shared_query(entity.book_query), self._columns)
            self._queries[ref] = found
        return self._queries[ref]

    def features(self, feature_set: FeatureSetSpec) -> Iterator[tuple[int, str, str, ExpressionKind]]:
        """Yield every feature's block, name, SQL and kind, in book order."""
        scope = dict(self.kinds(feature_set.spine) or {})
        for index, block in enumerate(feature_set.features):
            theirs = self.kinds(block.joined) if block.joined else None
            for name, sql in block.columns.items():
                found = kind_in(sql, (theirs or {}) if block.joined else scope)
                found = replace(found, kind=block.column_kind(found.kind))
                yield index, name, sql, found
                if not block.joined:
                    scope[name.lower()] = found.kind
            if block.joined:
                scope |= dict.fromkeys(map(str.lower, block.columns))

    def _columns(self, ref: str) -> Columns:
        if ref not in self._known:
            self._known[ref] = None
            entity = self._manifest.entities.get(ref)
            with suppress(KeyError), until_unknown():
                names = self._names(ref, entity)
                if names is not None:
                    # Known by name from here on: also to what its kinds depend on, and where those are unknown.
                    self._known[ref] = tuple(map(Column, names))
                    kinds = self._found_kinds(ref, entity)
                    self._known[ref] = tuple(Column(name, kinds.get(name.lower())) for name in names)
            self._kinds.pop(ref, None)
        return self._known[ref]

    def _names(self, ref: str, entity: Entity | None) -> Names:
        if (source := self._manifest.source_at(ref)) is not None:
            found = source.columns or self._types.get(source.name)
            return (*found, *source.derive) if found else None
        if entity is None or entity.book_query is not None:
            output = self.query(ref).output
            return None if output is None else tuple(column.name for column in output)
        spine = self._manifest.timed_at(entity.described_rows(self._manifest) or "")
        if spine is None:
            return None
        return (*spine.identity, *entity.carried, *entity.own_columns(self._manifest))

    def _found_kinds(self, ref: str, entity: Entity | None) -> Mapping[str, Kind]:
        """Return kinds by name, lower case; a stored event timestamp is a moment."""
        if (source := self._manifest.source_at(ref)) is not None:
            kinds = self._kinds_of_source(source)
        elif entity is None or entity.book_query is not None:
            kinds = dict(kinds_of(self.query(ref).output) or {})
        else:
            return self._kinds_of_described(ref, entity, entity.described_rows(self._manifest) or "")
        return {**kinds, **_moment(self._manifest.timed_at(ref))}

    def _kinds_of_source(self, source: Source) -> dict[str, Kind]:
        types = source.columns or self._types.get(source.name) or {}
        # Of a broken source a type may be unknown, and the others are not.
        known = {name: written for name, written in types.items() if isinstance(written, str)}
        kinds: dict[str, Kind] = {name.lower(): kind_of_type(written) for name, written in known.items()}
        for name, sql in source.derive.items():
            kinds[name.lower()] = kind_in(sql, kinds).kind
        return kinds

    def _kinds_of_described(self, ref: str, entity: Entity, rows: str) -> Mapping[str, Kind]:
        """Return the kinds of what describes ``rows``: of the columns that come along, and of its own."""
        along = {**(self.kinds(rows) or {}), **_moment(self._manifest.timed_at(rows))}
        described = self._manifest.feature_sets.get(ref_name(ref)) if FEATURE_SETS.holds(ref) else None
        if described is not None:
            return {**along, **{name.lower(): found.kind for _, name, _, found in self.features(described)}}
        own = ((name.lower(), _STAMP.get(name, "number")) for name in entity.own_columns(self._manifest))
        return {**along, **dict[str, Kind](own)}


def kind_in(sql: str, kinds: Mapping[str, Kind]) -> ExpressionKind:
    """Return the kind of an expression over columns of these kinds; unknown if it does not parse."""
    try:
        tree = shared_expression(sql)
    except SqlError:
        return ExpressionKind(None)
    return expression_kind(tree, _column_in(kinds, bound_names(tree)))


def _column_in(kinds: Mapping[str, Kind], bound: Collection[str]) -> Callable[[exp.Column], Kind]:
    def kind_of_column(column: exp.Column) -> Kind:
        name = column.name.lower()
        return None if column.table or name in bound else kinds.get(name)

    return kind_of_column


def _moment(table: TimedTable | None) -> dict[str, Kind]:
    moment = table.event_timestamp if table is not None else None
    return {} if moment is None else {moment.lower(): "moment"}

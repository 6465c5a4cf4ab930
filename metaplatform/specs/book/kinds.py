"""Which kinds of value the columns of a book's tables have, as far as the book itself can tell."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from sqlglot import exp

from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.ingestion import Source, TimedTable
from metaplatform.specs.unknown import until_unknown
from metaplatform.sql.expressions import shared_expression, shared_query
from metaplatform.sql.query_columns import HIDDEN
from metaplatform.sql.query_kinds import Kinds, QueryKinds, bound_names, query_kinds
from metaplatform.sql.sql_safety import SqlError
from metaplatform.sql.value_kinds import ExpressionKind, Kind, expression_kind, kind_of_type

_STAMP: dict[str, Kind] = {"model_name": "text", "model_version": "number", "run_id": "text", "scored_at": "moment"}


class KnownKinds:
    """The kinds of the columns of a manifest's tables, each text looked at once.

    ``types`` are those of sources that declare no columns, where they are known from elsewhere.
    """

    def __init__(self, manifest: Manifest, types: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Know nothing yet."""
        self._manifest = manifest
        self._types = types or {}
        self._known: dict[str, Kinds] = {}
        self._queries: dict[str, QueryKinds] = {}

    def of(self, ref: str) -> Kinds:
        """Return the kinds of the columns of ``ref`` by name, lower case; None where they are unknown."""
        if ref not in self._known:
            self._known[ref] = None
            with until_unknown():
                found = self._find(ref)
                self._known[ref] = found if found is None else {**found, **dict.fromkeys(HIDDEN, "text")}
        return self._known[ref]

    def query(self, ref: str) -> QueryKinds:
        """Return the kinds of the query of a table or report; unknown, without faults, if it does not parse."""
        if ref not in self._queries:
            entity = self._manifest.entities.get(ref)
            found = QueryKinds(None, ())
            with suppress(SqlError), until_unknown():
                if entity is not None and entity.query is not None:
                    found = query_kinds(shared_query(entity.query), self.of)
            self._queries[ref] = found
        return self._queries[ref]

    def features(self, feature_set: FeatureSetSpec) -> Iterator[tuple[int, str, str, ExpressionKind]]:
        """Yield every feature's block, name, SQL and kind, in book order."""
        scope = dict(self.of(feature_set.spine) or {})
        for index, block in enumerate(feature_set.features):
            theirs = self.of(block.joined) if block.joined else None
            for name, sql in block.columns.items():
                found = kind_in(sql, (theirs or {}) if block.joined else scope)
                found = replace(found, kind=block.column_kind(found.kind))
                yield index, name, sql, found
                if not block.joined:
                    scope[name.lower()] = found.kind
            if block.joined:
                scope |= dict.fromkeys(map(str.lower, block.columns))

    def _find(self, ref: str) -> Kinds:
        entity = self._manifest.entities.get(ref)
        if isinstance(entity, Source):
            return self._source(entity)
        if entity is None or entity.query is not None:
            found = self.query(ref).output
            return _with_moment(found, entity) if isinstance(entity, TimedTable) else found
        with suppress(KeyError):
            return self._of_described(entity, entity.described_rows(self._manifest) or "")
        return None

    def _source(self, source: Source) -> Kinds:
        types = source.columns or self._types.get(source.name)
        if not types:
            return None
        # Of a broken source a type may be unknown, and the others are not.
        known = {name: written for name, written in types.items() if isinstance(written, str)}
        kinds: dict[str, Kind] = {name.lower(): kind_of_type(written) for name, written in known.items()}
        for name, sql in source.derive.items():
            kinds[name.lower()] = kind_in(sql, kinds).kind
        return _with_moment(kinds, source)

    def _of_described(self, entity: Entity, rows: str) -> Kinds:
        """Return the kinds of what describes ``rows``, of the columns that come along and of its own."""
        spine = self._manifest.entities.get(rows)
        if not isinstance(spine, TimedTable):
            return None
        along = self._columns_of(spine, rows, (*spine.key, *entity.carried))
        if isinstance(entity, FeatureSetSpec):
            return {**along, **{name.lower(): found.kind for _, name, _, found in self.features(entity)}}
        own = ((name, _STAMP.get(name, "number")) for name in entity.own_columns(self._manifest))
        return {**along, **dict[str, Kind](own)}

    def _columns_of(self, table: TimedTable, ref: str, names: tuple[str, ...]) -> dict[str, Kind]:
        known = self.of(ref) or {}
        kinds = {name.lower(): known.get(name.lower()) for name in names}
        return dict(_with_moment(kinds, table) or {})


def kind_in(sql: str, kinds: Mapping[str, Kind]) -> ExpressionKind:
    """Return the kind of an expression over columns of these kinds; unknown if it does not parse."""
    try:
        tree = shared_expression(sql)
    except SqlError:
        return ExpressionKind(None)
    return expression_kind(tree, _column_in(kinds, bound_names(tree)))


def _column_in(kinds: Mapping[str, Kind], bound: set[str]) -> Callable[[exp.Column], Kind]:
    def kind_of_column(column: exp.Column) -> Kind:
        name = column.name.lower()
        return None if column.table or name in bound else kinds.get(name)

    return kind_of_column


def _with_moment(kinds: Kinds, table: TimedTable) -> Kinds:
    """Return the kinds as they are stored: an event timestamp is a moment."""
    if kinds is None or table.event_timestamp is None:
        return kinds
    return {**kinds, table.event_timestamp.lower(): "moment"}
